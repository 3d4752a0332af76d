package wire

import "errors"

// Errors that callers test with [errors.Is].
var (
	ErrFormat     = errors.New("wire: malformed")
	ErrTooLarge   = errors.New("wire: too large")
	ErrTopic      = errors.New("wire: invalid topic")
	ErrFilter     = errors.New("wire: invalid filter")
	ErrNetwork    = errors.New("wire: batch of another network")
	ErrSignature  = errors.New("wire: signature or body hash does not fit")
	ErrVersion    = errors.New("wire: no common protocol version")
	ErrUnreadable = errors.New("wire: batch needs a newer version")
)
