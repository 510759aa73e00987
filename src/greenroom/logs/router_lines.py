"""S."""
class RouterLogTail:
    def __init__(self,*a): pass
    def turn(self): return False
