"""The messages the doctor knows, and the cause each stands for; a file for each who speaks."""
