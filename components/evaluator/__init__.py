"""May this one model be pushed?"""
