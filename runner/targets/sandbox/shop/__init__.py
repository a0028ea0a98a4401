"""The program of the shop's pods: one small HTTP server, six services.

It imports nothing outside of the standard library but httptools, and nothing of seatrial outside
of this folder, because twelve copies of it run at once.
"""
