"""S."""
import re
M=re.compile(r'\A(?P<c>.*?)\s*;\s*echo\s+"\\uFFFF heroku-command-exit-status: \$\?"\s*\Z',re.S)
def split_exit_marker(command):
    m=M.match(command)
    return (m["c"],True) if m else (command,False)
