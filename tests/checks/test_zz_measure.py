import time
import pytest
from tests.checks.hosting import FILES, a_journey, engine, engine_home, server
from greenroom.checks import actions
@pytest.mark.django_db(transaction=True)
def test_measure(journey):
    rows=[]
    import random
    for n in range(6):
        journey.deployed = getattr(journey, "sha", "")
        journey.slug=None
        files={**FILES, "shop/n.py": f"N = {n}\n"}
        journey.commit(files); journey.build(files)
        t=time.monotonic(); r=journey.check("scan"); a=time.monotonic()-t
        t=time.monotonic(); r2=journey.check("tests"); b=time.monotonic()-t
        s=time.monotonic(); 
        run=journey.step("tests")
        t=time.monotonic()
        # side by side
        journey.slug=None
        files={**FILES, "shop/n.py": f"M = {n}\n"}
        journey.commit(files); journey.build(files)
        t=time.monotonic()
        while True:
            x,y=journey.step("scan"),journey.step("tests")
            if x.status==y.status=="completed": break
            time.sleep(0.02)
        c=time.monotonic()-t
        t=time.monotonic(); k=actions.sweep(engine=journey.engine); d=time.monotonic()-t
        rows.append((round(a,2),r.data["ruff"]["wall"],r.data["models"]["wall"],round(b,2),r2.data["wall"],"both",round(c,2),"sweep",k,round(d,2)))
    print(*rows, sep="\n")
    t=time.monotonic()
    for _ in range(100): actions.begin(app=journey.app, sha=journey.sha, names=["tests","scan"]); actions.judge(app=journey.app, sha=journey.sha, required=["tests","scan"])
    print("idle turn ms", (time.monotonic()-t)*10)
