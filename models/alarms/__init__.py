"""What detectors find: the alarm, its phrases, the open alarms of each series."""
