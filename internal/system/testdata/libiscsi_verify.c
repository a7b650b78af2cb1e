/* Verified random I/O through libiscsi: every block written says its LBA and a
 * generation, every read is checked against what was written last, and a final
 * pass reads everything. Usage: URL FIRST_LBA BLOCKS SECONDS SEED [header-digest]
 * Prints "ops N mismatches N" and exits 0 when there were none. */
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX = 64 };
static uint64_t state;
static uint64_t next(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state;
}
static void fill(unsigned char *p, uint64_t lba, uint32_t gen, int bs) {
  for (int i = 0; i < bs; i += 8) {
    uint64_t w = gen ? (lba * 0x9e3779b97f4a7c15ull) ^ ((uint64_t)gen << 32) ^ i : 0;
    memcpy(p + i, &w, 8);
  }
}
int main(int argc, char **argv) {
  if (argc < 6) return 2;
  struct iscsi_context *c = iscsi_create_context("iqn.2026-11.test:libiscsi");
  if (argc > 6) iscsi_set_header_digest(c, ISCSI_HEADER_DIGEST_CRC32C);
  struct iscsi_url *u = iscsi_parse_full_url(c, argv[1]);
  if (!u) return fprintf(stderr, "%s\n", iscsi_get_error(c)), 2;
  iscsi_set_targetname(c, u->target);
  iscsi_set_session_type(c, ISCSI_SESSION_NORMAL);
  iscsi_set_noautoreconnect(c, 1);
  if (iscsi_full_connect_sync(c, u->portal, u->lun)) return fprintf(stderr, "%s\n", iscsi_get_error(c)), 2;
  uint32_t first = atoi(argv[2]), blocks = atoi(argv[3]);
  time_t end = time(NULL) + atoi(argv[4]);
  state = strtoull(argv[5], NULL, 10) * 2654435761u + 1;
  struct scsi_task *cap = iscsi_readcapacity16_sync(c, u->lun);
  if (!cap || cap->status) return 2;
  int bs = ((struct scsi_readcapacity16 *)scsi_datain_unmarshall(cap))->block_length;
  uint32_t *gen = calloc(blocks, sizeof *gen);
  unsigned char *buf = malloc(MAX * bs), *want = malloc(bs);
  long ops = 0, bad = 0;
  memset(buf, 0, MAX * bs);
  for (uint32_t b = 0; b < blocks; b += MAX) { /* a known start */
    uint32_t n = blocks - b < MAX ? blocks - b : MAX;
    struct scsi_task *t = iscsi_write16_sync(c, u->lun, first + b, buf, n * bs, bs, 0, 0, 0, 0, 0);
    if (!t || t->status) return fprintf(stderr, "write: %s\n", iscsi_get_error(c)), 1;
    scsi_free_scsi_task(t);
  }
  for (int last = 0; !last;) {
    last = time(NULL) >= end;
    uint32_t at = last ? 0 : next() % blocks, n = last ? blocks : 1 + next() % MAX;
    if (n > blocks - at) n = blocks - at;
    int write = !last && next() & 1;
    for (; n > 0;) {
      uint32_t k = n > MAX ? MAX : n;
      struct scsi_task *t;
      if (write) {
        for (uint32_t i = 0; i < k; i++) fill(buf + i * bs, first + at + i, ++gen[at + i], bs);
        t = iscsi_write16_sync(c, u->lun, first + at, buf, k * bs, bs, 0, 0, 0, 0, 0);
      } else {
        t = iscsi_read16_sync(c, u->lun, first + at, k * bs, bs, 0, 0, 0, 0, 0);
      }
      if (!t || t->status) return fprintf(stderr, "lba %u: %s\n", first + at, iscsi_get_error(c)), 1;
      for (uint32_t i = 0; !write && i < k; i++) {
        fill(want, first + at + i, gen[at + i], bs);
        if (memcmp(want, t->datain.data + i * bs, bs)) bad++, fprintf(stderr, "lba %u differs\n", first + at + i);
      }
      scsi_free_scsi_task(t);
      ops++, at += k, n -= k;
    }
  }
  iscsi_logout_sync(c);
  printf("ops %ld mismatches %ld\n", ops, bad);
  return bad != 0;
}
