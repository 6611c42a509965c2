"""Honest figures: metrics with intervals, and the baselines that every audio score stands beside.

Needs the ``eval`` extra. Never imported by the serving side.
"""
