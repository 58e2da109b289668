#define _DEFAULT_SOURCE
#include "distributed/control_link.h"

#include "core/clock.h"
#include "core/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- sockets ---- */

/*
 * Sets what every socket here has: no function waits on it, no child process inherits it, and a message leaves at once
 * (by default the kernel holds small ones back to join them: Nagle's algorithm).
 */
static void configure(int descriptor)
{
    const int on = 1;
    fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#ifdef SO_NOSIGPIPE
    setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
}

/* A message to a process that has ended shall be an error, and not the signal SIGPIPE. macOS has SO_NOSIGPIPE for it.
 */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* A socket's address in either family. */
typedef union {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
} SocketAddress;

/* Fills in an address. @return its length */
static socklen_t socket_address(SocketAddress *address, const ControlAddress *of, uint16_t port)
{
    memset(address, 0, sizeof *address);
    if (of->is_ipv6) {
        address->ipv6.sin6_family = AF_INET6;
        address->ipv6.sin6_port = htons(port);
        memcpy(&address->ipv6.sin6_addr, of->bytes, 16);
        return sizeof address->ipv6;
    }
    address->ipv4.sin_family = AF_INET;
    address->ipv4.sin_port = htons(port);
    memcpy(&address->ipv4.sin_addr, of->bytes, 4);
    return sizeof address->ipv4;
}

/* Listens on all addresses of a family, on a port that the kernel chooses. @return the socket, or -1 */
static int listen_on(bool is_ipv6, uint16_t *port)
{
    const int off = 0, listener = socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    SocketAddress address;
    socklen_t length = socket_address(&address, &(ControlAddress){.is_ipv6 = is_ipv6}, 0);
    if (listener < 0)
        return -1;
    configure(listener);
    if (is_ipv6) /* IPv4 connections come in as well */
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(listener, &address.any, length) == 0 && listen(listener, SOMAXCONN) == 0 &&
        getsockname(listener, &address.any, &length) == 0) {
        *port = ntohs(is_ipv6 ? address.ipv6.sin6_port : address.ipv4.sin_port);
        return listener;
    }
    close(listener);
    return -1;
}

/* Lists the addresses of this host. An IPv6 address of one link only (fe80::) means nothing on another host. */
static void list_addresses(ControlOffer *offer, bool with_ipv6)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *i = all; i && offer->count < CONTROL_MAX_ADDRESSES; i = i->ifa_next) {
        ControlAddress *address = &offer->addresses[offer->count];
        SocketAddress found;
        if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        address->is_ipv6 = i->ifa_addr->sa_family == AF_INET6;
        memcpy(&found, i->ifa_addr, address->is_ipv6 ? sizeof found.ipv6 : sizeof found.ipv4);
        if (address->is_ipv6 && (!with_ipv6 || IN6_IS_ADDR_LINKLOCAL(&found.ipv6.sin6_addr)))
            continue;
        if (address->is_ipv6)
            memcpy(address->bytes, &found.ipv6.sin6_addr, 16);
        else
            memcpy(address->bytes, &found.ipv4.sin_addr, 4);
        offer->count++;
    }
    freeifaddrs(all);
}

static Status random_bytes(void *bytes, size_t count)
{
    FILE *stream = fopen("/dev/urandom", "rb");
    const bool complete = stream && fread(bytes, 1, count, stream) == count;
    if (stream)
        fclose(stream);
    return complete ? CS336_OK : status_fail(CS336_EIO, "/dev/urandom: cannot read %zu bytes", count);
}

Status control_listen(int *listener, ControlOffer *offer)
{
    *offer = (ControlOffer){0};
    bool is_ipv6 = true;
    *listener = listen_on(is_ipv6, &offer->port);
    if (*listener < 0) {
        is_ipv6 = false;
        *listener = listen_on(is_ipv6, &offer->port);
    }
    if (*listener < 0)
        return status_fail(CS336_EIO, "cannot listen on a TCP port: %s", strerror(errno));
    list_addresses(offer, is_ipv6);
    Status s = random_bytes(offer->hello, sizeof offer->hello);
    if (!s)
        s = random_bytes(offer->welcome, sizeof offer->welcome);
    if (!s && offer->count == 0)
        s = status_fail(CS336_EIO, "this host has no network address");
    if (s) {
        close(*listener);
        *listener = -1;
    }
    return s;
}

ControlLink control_accept(int listener)
{
    const ControlLink link = {.descriptor = accept(listener, NULL, NULL)};
    if (link.descriptor >= 0)
        configure(link.descriptor);
    return link;
}

/* ---- messages ---- */

/* Sends what has not gone of the outgoing message. True if all has gone. */
static bool flush_link(ControlLink *link)
{
    while (link->sending) {
        const char *rest = (const char *)&link->outgoing + link->sent;
        const ssize_t count = send(link->descriptor, rest, sizeof link->outgoing - link->sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        link->sent += (size_t)count;
        link->sending = link->sent < sizeof link->outgoing;
    }
    return true;
}

void control_link_send(ControlLink *link, const ControlMessage *message)
{
    if (link->descriptor < 0 || !flush_link(link))
        return;
    link->outgoing = *message;
    link->sent = 0;
    link->sending = true;
    flush_link(link);
}

ControlEvent control_link_receive(ControlLink *link, ControlMessage *message)
{
    if (link->descriptor < 0)
        return CONTROL_NOTHING;
    while (link->received < sizeof link->incoming) {
        char *rest = (char *)&link->incoming + link->received;
        const ssize_t count = read(link->descriptor, rest, sizeof link->incoming - link->received);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return CONTROL_NOTHING;
        if (count <= 0)
            return CONTROL_CLOSED;
        link->received += (size_t)count;
    }
    *message = link->incoming;
    message->text[sizeof message->text - 1] = '\0';
    link->received = 0;
    return CONTROL_MESSAGE;
}

void control_link_close(ControlLink *link)
{
    if (link->descriptor >= 0)
        close(link->descriptor);
    *link = (ControlLink){.descriptor = -1};
}

/* ---- connecting ---- */

/* An attempt to reach rank 0 at one of its addresses. */
typedef struct {
    ControlLink link;
    bool greeted; /* the connection stands, and the hello was sent */
} Attempt;

static void start_attempt(Attempt *attempt, const ControlAddress *at, uint16_t port)
{
    SocketAddress address;
    const socklen_t length = socket_address(&address, at, port);
    *attempt = (Attempt){.link = {.descriptor = socket(at->is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0)}};
    if (attempt->link.descriptor < 0)
        return;
    configure(attempt->link.descriptor);
    if (connect(attempt->link.descriptor, &address.any, length) != 0 && errno != EINPROGRESS)
        control_link_close(&attempt->link);
}

/* Goes on with an attempt whose socket is ready. True if rank 0 has answered. */
static bool go_on(Attempt *attempt, const ControlOffer *offer, int rank)
{
    ControlMessage message = {.kind = CONTROL_HELLO, .rank = rank};
    if (!attempt->greeted) {
        int error = 0;
        socklen_t length = sizeof error;
        if (getsockopt(attempt->link.descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error) {
            control_link_close(&attempt->link);
            return false;
        }
        memcpy(message.token, offer->hello, sizeof message.token);
        control_link_send(&attempt->link, &message);
        attempt->greeted = true;
        return false;
    }
    const ControlEvent event = control_link_receive(&attempt->link, &message);
    if (event == CONTROL_MESSAGE && message.kind == CONTROL_WELCOME &&
        memcmp(message.token, offer->welcome, sizeof message.token) == 0)
        return true;
    if (event != CONTROL_NOTHING)
        control_link_close(&attempt->link);
    return false;
}

/* Waits until a socket is ready or the time is over, and goes on with all that are. @return the one that is answered */
static Attempt *wait_for_answer(Attempt *attempts, struct pollfd *sockets, const ControlOffer *offer, int rank,
                                long long until)
{
    for (;;) {
        const long long left = until - clock_milliseconds();
        size_t open = 0;
        for (size_t i = 0; i < offer->count; i++) {
            sockets[i] = (struct pollfd){.fd = attempts[i].link.descriptor, /* poll() leaves out -1 */
                                         .events = attempts[i].greeted ? POLLIN : POLLOUT};
            open += attempts[i].link.descriptor >= 0;
        }
        if (left <= 0 || !open)
            return NULL;
        if (poll(sockets, (nfds_t)offer->count, (int)left) <= 0)
            continue;
        for (size_t i = 0; i < offer->count; i++)
            if (sockets[i].revents && go_on(&attempts[i], offer, rank))
                return &attempts[i];
    }
}

Status control_link_connect(ControlLink *link, const ControlOffer *offer, int rank, int milliseconds)
{
    Attempt *attempts = memory_allocate(offer->count * sizeof *attempts);
    struct pollfd *sockets = memory_allocate(offer->count * sizeof *sockets);
    Attempt *answered = NULL;
    *link = (ControlLink){.descriptor = -1};
    Status s = attempts && sockets
                   ? CS336_OK
                   : status_fail(CS336_ENOMEM, "no memory for %u attempts to connect", (unsigned)offer->count);
    for (size_t i = 0; !s && i < offer->count; i++)
        start_attempt(&attempts[i], &offer->addresses[i], offer->port);
    if (!s) {
        answered = wait_for_answer(attempts, sockets, offer, rank, clock_milliseconds() + milliseconds);
        s = answered ? CS336_OK
                     : status_fail(CS336_EIO, "no TCP connection to port %u of rank 0 at any of its %u addresses",
                                   (unsigned)offer->port, (unsigned)offer->count);
    }
    for (size_t i = 0; attempts && sockets && i < offer->count; i++)
        if (&attempts[i] != answered)
            control_link_close(&attempts[i].link);
    if (answered)
        *link = answered->link;
    memory_release(attempts);
    memory_release(sockets);
    return s;
}
