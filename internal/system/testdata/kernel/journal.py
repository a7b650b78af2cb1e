"""Writes blocks to a disk for some seconds from four threads and then reads every one
back: journal.py DISK SECONDS. A block holds its number and how many times it was
written; what was acknowledged must be there. A write that fails ends it."""

import mmap, os, random, struct, sys, threading, time

BLOCK, THREADS, SLOTS = 4096, 4, 4096
disk, seconds = sys.argv[1], float(sys.argv[2])
fd = os.open(disk, os.O_RDWR | os.O_DIRECT)
written = [0] * (THREADS * SLOTS)  # the generation of each block that was acknowledged
slowest, errors, end = 0.0, [], time.monotonic() + seconds
start = int.from_bytes(os.urandom(4), "big")


def content(slot, generation):
    return struct.pack(">QQQ", start, slot, generation) * (BLOCK // 24) + bytes(BLOCK % 24)


def work(thread):
    global slowest
    page = mmap.mmap(-1, BLOCK)
    try:
        while time.monotonic() < end:
            slot = thread * SLOTS + random.randrange(SLOTS)
            page[:] = content(slot, written[slot] + 1)
            began = time.monotonic()
            if os.pwritev(fd, [page], slot * BLOCK) != BLOCK:
                raise OSError("short write")
            slowest = max(slowest, time.monotonic() - began)
            written[slot] += 1
    except OSError as e:
        errors.append(f"block {slot}: {e}")


threads = [threading.Thread(target=work, args=(t,)) for t in range(THREADS)]
for t in threads:
    t.start()
for t in threads:
    t.join()
page, lost = mmap.mmap(-1, BLOCK), 0
for slot, generation in enumerate(written):
    if generation:
        os.preadv(fd, [page], slot * BLOCK)
        lost += page[:] != content(slot, generation)
print(f"{sum(written)} writes acknowledged in {sum(g > 0 for g in written)} blocks, {lost} lost, "
      f"{len(errors)} errors {errors[:1]}, the slowest took {slowest:.1f} s")
sys.exit(1 if lost or errors else 0)
