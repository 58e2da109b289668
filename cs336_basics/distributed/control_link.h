/**
 * @file
 * @brief The TCP connections of the watchdog (distributed/watchdog.h): one from each rank to rank 0, beside MPI's.
 *
 * - Rank 0 listens. All ranks get its addresses, its port and a random token by ranks_broadcast(). A rank tries all
 *   addresses at once and keeps the first connection over which rank 0 answers.
 * - Both sides first show a token that only this run's ranks know. A connection of a stranger, such as a port scanner,
 *   is closed.
 * - After that, messages of a fixed size go both ways. No function here waits, except control_link_connect().
 */
#ifndef CS336_DISTRIBUTED_CONTROL_LINK_H
#define CS336_DISTRIBUTED_CONTROL_LINK_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

enum {
    CONTROL_TOKEN_BYTES = 16,   /**< of each token; nobody guesses 128 random bits */
    CONTROL_MAX_ADDRESSES = 32, /**< of rank 0's host; it may have many virtual networks */
    CONTROL_TEXT_BYTES = 256    /**< of the text of a message, with its final zero byte */
};

/** @brief What a message says. */
typedef enum {
    CONTROL_HELLO,       /**< the first message of a rank: `rank` and the token */
    CONTROL_WELCOME,     /**< rank 0's answer, with the other token */
    CONTROL_ALIVE,       /**< a heartbeat, with what the rank is doing */
    CONTROL_TERMINATING, /**< a signal such as SIGTERM has asked the sender to end, so that its end is no fault */
    CONTROL_GOODBYE,     /**< the sender leaves; `code` is its exit code and `text` its error, if it is not 0 */
    CONTROL_FAILED,      /**< the sender cannot go on, as `text` says: end the run */
    CONTROL_END          /**< the run has failed, and the sender has said so: end without a line of your own */
} ControlKind;

/** @brief A message. All ranks run the same program, so that the struct itself can be sent. */
typedef struct {
    uint32_t kind;                            /**< a ControlKind */
    int32_t rank;                             /**< the sender */
    int32_t code;                             /**< of CONTROL_GOODBYE */
    uint32_t activity_ticks;                  /**< ticks since the activity began; a tick is a heartbeat's period */
    uint32_t waiting_ticks;                   /**< ticks since the rank began to wait for others; 0: it does not wait */
    uint32_t alone;                           /**< 1: the rank does by design what the others wait for */
    uint64_t saved;                           /**< step of the newest checkpoint; 0: none */
    unsigned char token[CONTROL_TOKEN_BYTES]; /**< of CONTROL_HELLO and CONTROL_WELCOME */
    char text[CONTROL_TEXT_BYTES];            /**< what the rank is doing, or its error */
} ControlMessage;

/** @brief One end of a connection. Set `descriptor` to -1 in a new one. */
typedef struct {
    int descriptor;          /**< of the socket; -1: no connection */
    size_t received,         /**< bytes of `incoming` that have come */
        sent;                /**< bytes of `outgoing` that have gone */
    bool sending;            /**< true if a part of `outgoing` has not gone */
    ControlMessage incoming, /**< the message that is being received */
        outgoing;            /**< the message that is being sent */
} ControlLink;

/** @brief An address of rank 0's host. */
typedef struct {
    uint8_t bytes[16]; /**< in network byte order; an IPv4 address has 4 */
    uint8_t is_ipv6;   /**< 1: an IPv6 address; 0: IPv4 */
} ControlAddress;

/** @brief What rank 0 tells the others, so that they can connect. */
typedef struct {
    ControlAddress addresses[CONTROL_MAX_ADDRESSES]; /**< (count) to try, in this order */
    uint32_t count;                                  /**< of addresses */
    uint16_t port;                                   /**< in the host's byte order */
    unsigned char hello[CONTROL_TOKEN_BYTES],        /**< the token that a rank shows */
        welcome[CONTROL_TOKEN_BYTES];                /**< the token that rank 0 answers */
    uint32_t tick_milliseconds;                      /**< period of heartbeats */
} ControlOffer;

/**
 * @brief Begins to listen on a free port of all networks, and describes it. For rank 0.
 * @param[out] listener  a socket that accepts without waiting; the caller closes it
 * @retval CS336_EIO  the operating system gives no socket, no addresses or no random bytes
 */
CS336_MUST_CHECK Status control_listen(int *listener, ControlOffer *offer);

/** @brief Accepts a connection that is waiting. @return a link to read a CONTROL_HELLO from; descriptor -1 if none */
ControlLink control_accept(int listener);

/**
 * @brief Connects to rank 0, and returns when it has answered.
 * @param milliseconds  how long to try
 * @retval CS336_EIO  it has not answered
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status control_link_connect(ControlLink *link, const ControlOffer *offer, int rank, int milliseconds);

/**
 * @brief Sends a message. It is left out if an earlier one has not gone yet, which only happens when the other side has
 * not read for thousands of heartbeats. A broken connection is left for control_link_receive() to report.
 */
void control_link_send(ControlLink *link, const ControlMessage *message);

/** @brief What control_link_receive() finds. */
typedef enum {
    CONTROL_NOTHING, /**< no whole message has come yet */
    CONTROL_MESSAGE, /**< one message was read; there may be more */
    CONTROL_CLOSED   /**< the other side has ended, or the connection is broken */
} ControlEvent;

/** @brief Reads a message, if one has come. */
ControlEvent control_link_receive(ControlLink *link, ControlMessage *message);

/** @brief Closes the connection; a link without one is fine. */
void control_link_close(ControlLink *link);

CS336_INTERNAL_END

#endif
