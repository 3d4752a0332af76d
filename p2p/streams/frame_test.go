package streams

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

func TestFramesAreReadAsWritten(t *testing.T) {
	var stream []byte
	sizes := []int{0, 1, 63, 64, 127, 128, readBufBytes - 1, readBufBytes, claimMax, claimMax + 1, 5*claimMax + 3}
	for _, n := range sizes {
		stream = appendFrameHead(stream, n)
		stream = append(stream, bytes.Repeat([]byte{byte(n)}, n)...)
		stream = appendControl(stream)
		stream = appendControl(stream, controlPing, 1, 2)
	}
	r := newFrameReader(bytes.NewReader(stream), 8*claimMax)
	for _, n := range sizes {
		frame, control, err := r.next()
		if err != nil || control || !bytes.Equal(frame, bytes.Repeat([]byte{byte(n)}, n)) {
			t.Fatalf("frame of %d bytes came as %d, control %v, %v", n, len(frame), control, err)
		}
		for _, want := range [][]byte{{}, {controlPing, 1, 2}} {
			if frame, control, err = r.next(); err != nil || !control || !bytes.Equal(frame, want) {
				t.Fatalf("control frame %v, %v, %v; want %v", frame, control, err, want)
			}
		}
	}
	if _, _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, want EOF", err)
	}
}

func TestKeepaliveIsOneByte(t *testing.T) {
	if got := appendControl(nil); len(got) != 1 {
		t.Errorf("an empty control frame is %x", got)
	}
}

func TestMalformedFramesAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		in   []byte
		want error
	}{
		"too large":         {appendFrameHead(nil, 101), errFrame},
		"far too large":     {binary.AppendUvarint(nil, 1<<63), errFrame},
		"control too large": {binary.AppendUvarint(nil, (controlBytesMax+1)<<1|1), errFrame},
		"cut short":         {append(appendFrameHead(nil, 100), 1, 2), io.ErrUnexpectedEOF},
		"cut in the head":   {[]byte{0x80}, io.ErrUnexpectedEOF},
	} {
		if _, _, err := newFrameReader(bytes.NewReader(tt.in), 100).next(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func TestClaimedLengthAllocatesLittle(t *testing.T) {
	claim := appendFrameHead(nil, 16<<20)
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = newFrameReader(bytes.NewReader(claim), 32<<20).next()
		}
	}).AllocedBytesPerOp()
	if got > 2*claimMax {
		t.Errorf("%d bytes were allocated for a claim of 16 MiB", got)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(appendControl(append(appendFrameHead(nil, 3), 1, 2, 3), controlPong))
	f.Add(binary.AppendUvarint(nil, 1<<40))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newFrameReader(bytes.NewReader(in), 1<<16)
		var again []byte
		for {
			frame, control, err := r.next()
			if err != nil {
				break
			}
			if control {
				again = appendControl(again, frame...)
				continue
			}
			again = append(appendFrameHead(again, len(frame)), frame...)
		}
		// A head may be written longer than it need be, never shorter.
		if len(again) > len(in) {
			t.Errorf("%d bytes hold frames of %d", len(in), len(again))
		}
	})
}
