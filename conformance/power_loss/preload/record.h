/* Records what a process asks of a disk, to be preloaded (LD_PRELOAD; Linux, glibc).

   POWER_LOSS_ROOT  the directory below which everything is recorded, as realpath(3) gives it
   POWER_LOSS_LOG   the file that the records are appended to
   POWER_LOSS_DROP  optional: a pattern of fnmatch(3), extended. Syncs of what it fits are not made and not
                    recorded. Paths are relative to the root, a directory's ends in a slash.

   A record is a header (struct header), a name and data. A file is told by its inode number, so
   that copies of descriptors need no book-keeping. Changes of names are recorded in the order in
   which they were made; a write once it was made, a sync when it began and when it ended, bytes
   to a socket before they are sent: whatever a thread knew to be done is recorded by then.
   What has no meaning here is recorded as unknown, and the reader of the log refuses it. */

#ifndef RECORD_H
#define RECORD_H

#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>
#include <sys/stat.h>

enum kind {
    FILE_MADE = 1, LINKED, UNLINKED, RENAMED, DIRECTORY_MADE,
    WRITTEN, RESIZED, SYNC_BEGAN, SYNC_ENDED, SENT, UNKNOWN
};

struct header {
    uint32_t kind, name_length;
    uint64_t subject; /* inode number of the file, directory or socket; 0: of everything */
    uint64_t object;  /* inode number of what a name leads to; which sync */
    uint64_t offset, data_length;
};

/* Where a file or directory is, relative to the root. */
struct place { uint64_t inode; mode_t mode; const char *path; char buffer[PATH_MAX]; };

/* The function that an interposed one stands before. */
#define NEXT(name) \
    static __typeof__(&name) next; \
    if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* Nothing of this takes the place of another library's function. */
#pragma GCC visibility push(hidden)

/* Append one record; errno stays as it is. */
void record(enum kind kind, uint64_t subject, uint64_t object, uint64_t offset, const char *name,
            const void *data, size_t length);

/* Record what has no meaning here, unless nothing is recorded. */
void record_unknown(const char *what);

/* The beginning of a sync of a file, or of everything (0); its end is recorded with the answer. */
uint64_t record_sync(uint64_t inode, const char *path);

/* Whether a descriptor is of a file or directory below the root, and of which. */
int is_watched(int fd, struct place *place);

/* Whether bytes written to a descriptor go to another machine; the inode number of the socket. */
uint64_t connection_of(int fd);

/* The directory that holds the last part of a path; that part, NULL unless it is below the root. */
const char *parent_of(int at, const char *path, struct place *parent);

uint64_t inode_at(int at, const char *path);

/* Whether syncs of it are to be left out. */
int is_dropped(const struct place *place);

/* Whether any syncs are to be left out. */
int drops_syncs(void);

#pragma GCC visibility pop

#endif
