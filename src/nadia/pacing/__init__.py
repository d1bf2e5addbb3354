"""Pacing: when is a customer's burst of messages over?"""
