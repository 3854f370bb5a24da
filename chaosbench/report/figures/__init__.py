"""The figures: functions from what was folded to a drawing; ``sheet.py`` says how they look and are written."""
