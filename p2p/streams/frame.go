package streams

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	readBufBytes = 64 << 10
	// claimMax bounds what is allocated on a peer's word: a larger frame's
	// buffer grows with what has arrived.
	claimMax        = 1 << 20
	controlBytesMax = 64 // of a control frame
)

// The kinds of control frames are on the wire: append only, never reorder.
const (
	controlPing = 1 // kind, 4 bytes that the pong repeats
	controlPong = 2
)

const tokenBytes = 4 // of a ping

// errFrame says that a stream does not hold frames.
var errFrame = errors.New("streams: malformed frame")

// appendFrameHead appends what precedes a frame's bytes.
func appendFrameHead(dst []byte, length int) []byte {
	return binary.AppendUvarint(dst, uint64(length)<<1)
}

// appendControl appends a control frame.
func appendControl(dst []byte, body ...byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(body))<<1|1)
	return append(dst, body...)
}

// frameReader reads frames from a stream.
type frameReader struct {
	r        *bufio.Reader
	bytesMax int
}

func newFrameReader(r io.Reader, bytesMax int) *frameReader {
	return &frameReader{bufio.NewReaderSize(r, readBufBytes), bytesMax}
}

// next returns the next frame in a buffer of its own, and whether it is a
// control frame. The error is [io.EOF] only between frames.
func (f *frameReader) next() (frame []byte, control bool, err error) {
	head, err := binary.ReadUvarint(f.r)
	if err != nil {
		return nil, false, err
	}
	length, control := head>>1, head&1 == 1
	limit := f.bytesMax
	if control {
		limit = controlBytesMax
	}
	if length > uint64(limit) {
		return nil, false, fmt.Errorf("%w: %d bytes, the limit is %d", errFrame, length, limit)
	}
	frame, err = f.body(int(length))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return frame, control, err
}

// body reads n bytes, growing the buffer with what arrives.
func (f *frameReader) body(n int) ([]byte, error) {
	b := make([]byte, min(n, claimMax))
	for have := 0; ; {
		if _, err := io.ReadFull(f.r, b[have:]); err != nil {
			return nil, err
		}
		if have = len(b); have == n {
			return b, nil
		}
		grown := make([]byte, min(n, 2*have))
		copy(grown, b)
		b = grown
	}
}
