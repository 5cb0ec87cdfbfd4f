"""Lesson 08: curves, alarms that mean something, and life after launch.

log          OptimizationMonitor: a training run's curves in a file that survives
watched      a plain training loop for it; `python -m helpers.monitoring` runs one
alarms       overfitting alarms, scored on hundreds of runs with a known truth
calibration  temperature scaling and calibration error
drift        two-sample tests on what users ask
serving      percentiles, Prometheus's text, alerts with a budget of false alarms
day          a day of requests, replayed with an incident
figures      the lesson's figures
"""

from .log import GuideMonitor, OptimizationMonitor

__all__ = ["GuideMonitor", "OptimizationMonitor"]
