// Loaded before anything is drawn, so that a chosen theme does not flash. Not a module for that reason.
(() => {
  try {
    const theme = localStorage.getItem("nadia.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // storage is off: the system's theme it is
  }
})();
