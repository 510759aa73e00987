import time, statistics, subprocess
def test_time(alices, stored, server, tmp_path):
    alices.push()
    http, fetch = [], []
    for n in range(15):
        alices.commit(); b=time.monotonic(); alices.push(); http.append(time.monotonic()-b)
    for n in range(10):
        b=time.monotonic(); alices.git("ls-remote", alices.url); fetch.append(time.monotonic()-b)
    print("http", statistics.median(http), min(http), "ls-remote", statistics.median(fetch))
