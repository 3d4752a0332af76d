package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"github.com/busnode/busnode/gossip/wire"
)

// source gives the payloads that pub publishes.
type source interface {
	// next returns the next payload, valid until the next call, or io.EOF.
	next() ([]byte, error)
	// blocks reports whether next may have to wait for input.
	blocks() bool
}

// source chooses by what the command line gives. Payloads that no node would
// take are refused here, before they fill the memory.
func (f *pubFlags) source(a *app, args []string) (source, error) {
	switch {
	case len(args) > 1:
		return &repeated{payload: []byte(args[1]), left: max(f.count, 1)}, checkSize("the payload", len(args[1]))
	case f.count > 0 || f.size > 0:
		size := int(f.size)
		if size == 0 {
			size = generatedBytes
		}
		if err := checkSize("--size", size); err != nil {
			return nil, err
		}
		return newGenerated(max(f.count, 1), size), nil
	}
	return &lines{in: bufio.NewReaderSize(a.stdin, 64<<10)}, nil
}

func checkSize(what string, bytes int) error {
	if bytes <= wire.BodyMaxBytes {
		return nil
	}
	return fmt.Errorf("%s is too large: %s, and no event can have more than %s",
		what, size(int64(bytes)), size(wire.BodyMaxBytes))
}

// repeated is one payload several times.
type repeated struct {
	payload []byte
	left    int
}

func (r *repeated) blocks() bool { return false }

func (r *repeated) next() ([]byte, error) {
	if r.left == 0 {
		return nil, io.EOF
	}
	r.left--
	return r.payload, nil
}

const (
	generatedBytes = 128
	filler         = "abcdefghijklmnopqrstuvwxyz0123456789"
)

// generated is payloads of one size, each with its number at the front, as far
// as it fits, and letters behind that compress badly.
type generated struct {
	payload []byte
	n, of   int
}

func newGenerated(count, size int) *generated {
	g := &generated{payload: make([]byte, size), of: count}
	random := rand.New(rand.NewPCG(1, uint64(size)))
	for i := range g.payload {
		g.payload[i] = filler[random.IntN(len(filler))]
	}
	return g
}

func (g *generated) blocks() bool { return false }

func (g *generated) next() ([]byte, error) {
	if g.n == g.of {
		return nil, io.EOF
	}
	g.n++
	var number [24]byte
	copy(g.payload, append(strconv.AppendInt(number[:0], int64(g.n), 10), ' '))
	return g.payload, nil
}

// lines is standard input, an event a line without its newline.
type lines struct {
	in   *bufio.Reader
	n    int
	long []byte
}

func (l *lines) blocks() bool { return l.in.Buffered() == 0 }

func (l *lines) next() ([]byte, error) {
	l.n++
	line, err := l.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = l.long[:0]
		for errors.Is(err, bufio.ErrBufferFull) {
			l.long = append(l.long, line...)
			if len(l.long) > wire.BodyMaxBytes {
				return nil, fmt.Errorf("line %d is too large: no event can have more than %s", l.n, size(wire.BodyMaxBytes))
			}
			line, err = l.in.ReadSlice('\n')
		}
		l.long = append(l.long, line...)
		line = l.long
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	return bytes.TrimSuffix(line, []byte("\n")), err
}
