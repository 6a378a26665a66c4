"""What happened: run directories, the processes that own them, and everything that reads them.

A run is a directory (`directory`). Its trainer appends to it (`writer`, `files`), its supervisor
starts, watches and stops the trainer (`supervise`, `process`), and any number of readers follow
(`follow`, `status`) or leave it a command (`control`). Files are the only contract between them.
"""
