"""The child process that decodes pixels: limited in memory and time, and free to die.

Protocol on stdin and stdout: a request is a 4 byte length, JSON {frame, width, window, size, cpu}, then `size` bytes of DICOM;
the answer is one byte ("+" or "-"), a 4 byte length, then the JPEG or the reason in UTF-8.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
import warnings
from typing import BinaryIO

MEMORY = 3 * 1024 * 1024 * 1024  # address space, of which libraries take a part
OUTPUT = 16 * 1024 * 1024


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    from hub.imaging.pixels import CannotRender, jpeg_of_frame

    while head := requests.read(4):
        order = json.loads(requests.read(struct.unpack(">I", head)[0]))
        content = requests.read(order["size"])
        _limit_time(order["cpu"])
        try:
            window = tuple(order["window"]) if order["window"] else None
            mark, body = b"+", jpeg_of_frame(content, frame=order["frame"], width=order["width"], window=window)
        except CannotRender as error:
            mark, body = b"-", str(error).encode()
        except MemoryError:
            mark, body = b"-", b"the picture needs more memory than a picture may"
        except Exception as error:  # whatever a decoder raises is the file's fault, and ends here
            mark, body = b"-", f"the file cannot be read ({type(error).__name__})".encode()
        answers.write(mark + struct.pack(">I", len(body)) + body)
        answers.flush()


def _limit_time(seconds: int) -> None:
    """CPU time from here on: the limit counts from the start of the process, so it moves with each request."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    until = int(usage.ru_utime + usage.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT, OUTPUT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
