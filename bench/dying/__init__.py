"""What is broken, struck and looked at wherever something dies: the crash matrix, the torment, end-to-end tests."""
