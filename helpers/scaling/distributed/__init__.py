"""Lesson 07: training, searching and embedding with more than one process, and more than one machine."""
