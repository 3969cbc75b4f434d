#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static const char *drop;
static int log_fd = -1;
static atomic_uint syncs;

__attribute__((constructor)) static void begin(void) {
    const char *wanted = getenv("POWER_LOSS_ROOT"), *log = getenv("POWER_LOSS_LOG");
    if (!wanted || !log) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (fd < 0) abort();
    log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 800); /* out of the way of whoever counts descriptors */
    syscall(SYS_close, fd);
    snprintf(root, sizeof root, "%s", wanted);
    drop = getenv("POWER_LOSS_DROP");
}

void record(enum kind kind, uint64_t subject, uint64_t object, uint64_t offset, const char *name,
            const void *data, size_t length) {
    int before = errno;
    struct header header = {kind, (uint32_t)strlen(name), subject, object, offset, length};
    struct iovec parts[] = {{&header, sizeof header}, {(void *)name, header.name_length},
                            {(void *)data, length}};
    long whole = (long)(sizeof header + header.name_length + length);
    if (syscall(SYS_writev, log_fd, parts, 3) != whole) abort(); /* one call: one record */
    errno = before;
}

int is_watched(int fd, struct place *place) {
    struct stat found;
    char link[40];
    int before = errno, below = 0;
    if (log_fd >= 0 && fstat(fd, &found) == 0 && (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, place->buffer, sizeof place->buffer - 2);
        size_t outer = strlen(root);
        if (n >= (ssize_t)outer && !memcmp(place->buffer, root, outer)) {
            place->buffer[n] = S_ISDIR(found.st_mode) ? '/' : 0;
            place->buffer[n + 1] = 0;
            place->path = place->buffer + outer + (place->buffer[outer] == '/');
            place->inode = found.st_ino;
            place->mode = found.st_mode;
            below = place->buffer[outer] == '/';
        }
    }
    errno = before;
    return below;
}

const char *parent_of(int at, const char *path, struct place *parent) {
    char folder[PATH_MAX];
    int before = errno;
    if (log_fd < 0 || !path || strlen(path) >= sizeof folder) return NULL;
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    int fd = (int)syscall(SYS_openat, at, folder, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    int below = fd >= 0 && is_watched(fd, parent);
    if (fd >= 0) syscall(SYS_close, fd);
    errno = before;
    return below ? name : NULL;
}

uint64_t inode_at(int at, const char *path) {
    struct stat found;
    int before = errno;
    uint64_t inode = fstatat(at, path, &found, AT_SYMLINK_NOFOLLOW) == 0 ? found.st_ino : 0;
    errno = before;
    return inode;
}

int is_dropped(const struct place *place) {
    return drop && fnmatch(drop, place->path, FNM_EXTMATCH) == 0;
}

int drops_syncs(void) { return drop != NULL; }

void record_unknown(const char *what) {
    if (log_fd >= 0) record(UNKNOWN, 0, 0, 0, what, NULL, 0);
}

uint64_t record_sync(uint64_t inode, const char *path) {
    unsigned number = atomic_fetch_add(&syncs, 1);
    uint64_t which = (uint64_t)getpid() << 32 | number;
    record(SYNC_BEGAN, inode, which, 0, path, NULL, 0);
    return which;
}

uint64_t connection_of(int fd) {
    struct stat found;
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int before = errno;
    int is_one = log_fd >= 0 && fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode) &&
                 getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
                 (address.ss_family == AF_INET || address.ss_family == AF_INET6);
    errno = before;
    return is_one ? found.st_ino : 0;
}
