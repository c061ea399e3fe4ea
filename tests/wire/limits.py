"""What the servers of these tests are told."""

LIMIT = 2 * 1024 * 1024  # bytes: WEBSOCKET_MAX_MESSAGE_SIZE
BODY = 1024 * 1024  # bytes: HTTP_MAX_BODY
HASTE = 1  # seconds: the timeouts of the hasty server
LINGER = 2  # seconds that a client has to answer a close
SMALL = 1_000  # bytes: max_size of the consumer at ws/small/
