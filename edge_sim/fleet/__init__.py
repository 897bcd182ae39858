"""A rollout over thousands of simulated cores, on Locust: each runs the agent's own update behind a session of its own.

    model       what each core is like, from the scenario and a seed: pure
    board       a model behind the agent's ports: time passes, nothing is on a disk
    core        the agent's updater and Jobs client on such a board
    lines       what the processes say to each other
    session     an MQTT session with one descriptor, under gevent
    program     the process that runs cores as Locust's users: alone, as a master or as a worker
    processes   those processes, started and listened to
    account     what the cores say of their jobs, and how that differs from what the Jobs API says
    jobs        things, groups and the job, made and watched with the API
    rollout     the whole of it

Only ``program`` and what it alone imports know Locust and gevent: they change Python's own sockets and threads.
"""
