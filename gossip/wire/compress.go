package wire

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Packing a body below compressMinBytes, or for less than a sixteenth of its
// size, costs every reader more than the bytes are worth (a guess).
const (
	compressMinBytes = 256
	compressGain     = 16
)

// unpackers returns the shared decoder. It holds no goroutine, serves
// concurrent callers and refuses what unpacks to more than [BodyMaxBytes].
var unpackers = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderMaxMemory(BodyMaxBytes),
		zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)))
})

var packers = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithEncoderCRC(false)) // the header has the body's SHA-256
})

// Compress packs a body for [CompressionZstd]. It returns false when that does
// not pay, or when body exceeds [BodyMaxBytes]. It is safe for concurrent use.
func Compress(body []byte) ([]byte, bool) {
	if len(body) < compressMinBytes || len(body) > BodyMaxBytes {
		return nil, false
	}
	encoder, err := packers()
	if err != nil {
		return nil, false
	}
	packed := encoder.EncodeAll(body, make([]byte, 0, len(body)/2))
	if len(packed) > len(body)-len(body)/compressGain {
		return nil, false
	}
	return packed, true
}

// unpack returns the unpacked form of a body.
func unpack(body []byte) ([]byte, error) {
	decoder, err := unpackers()
	if err != nil {
		return nil, fmt.Errorf("wire: zstd: %w", err)
	}
	unpacked, err := decoder.DecodeAll(body, nil)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return nil, fmt.Errorf("%w: compressed body: over %d bytes unpacked: %w", ErrTooLarge, BodyMaxBytes, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: compressed body: %w", ErrFormat, err)
	}
	return unpacked, nil
}
