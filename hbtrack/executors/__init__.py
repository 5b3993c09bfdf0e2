"""Processes that outlive us, and the GPUs they run on.

Read in this order: flock, worker_files, warden, warden_link, processes, gpus, lock_folder,
gpu_locks, devices, local.
"""
