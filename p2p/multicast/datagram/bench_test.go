package datagram

import (
	"bytes"
	"testing"
)

func BenchmarkSeal(b *testing.B) {
	s := NewSealer(testStream, testRoot, testEpoch)
	buffer := make([]byte, 0, MaxBytes)
	inner := buffer[HeaderBytes : HeaderBytes+InnerMaxBytes]
	b.SetBytes(MaxBytes)
	b.ReportAllocs()
	for b.Loop() {
		s.Seal(buffer, TypeShard, inner)
	}
}

// BenchmarkCipher is what AES-256-GCM alone takes, to compare with.
func BenchmarkCipher(b *testing.B) {
	aead := newEpochKey(testRoot, testEpoch).aead(testStream, 0)
	buffer, header := make([]byte, MaxBytes), make([]byte, HeaderBytes)
	b.SetBytes(MaxBytes)
	b.Run("seal", func(b *testing.B) {
		for b.Loop() {
			aead.Seal(buffer[:0], header[:12], buffer[:InnerMaxBytes], header)
		}
	})
	sealed := aead.Seal(nil, header[:12], buffer[:InnerMaxBytes], header)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			if _, err := aead.Open(buffer[:0], header[:12], sealed, header); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s := NewSealer(testStream, testRoot, testEpoch)
	o := admitted(b, s)
	buffer := make([]byte, InnerMaxBytes)
	d := s.Seal(nil, TypeShard, make([]byte, InnerMaxBytes))
	window := o.streams[testStream].window
	b.SetBytes(MaxBytes)
	b.ReportAllocs()
	for b.Loop() {
		o.streams[testStream].window = window
		if _, err := o.Open(buffer, d, testFrom); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefuse is what a datagram costs that is not let in.
func BenchmarkRefuse(b *testing.B) {
	s := NewSealer(testStream, testRoot, testEpoch)
	o := admitted(b, s)
	buffer := make([]byte, InnerMaxBytes)
	good := s.Seal(nil, TypeShard, make([]byte, InnerMaxBytes))
	forged := bytes.Clone(good)
	forged[100]++
	stranger := bytes.Clone(good[:beaconMaxBytes])
	stranger[3], stranger[8] = byte(TypeBeacon), 99
	unknown := bytes.Clone(good)
	unknown[4]++
	replay := s.Seal(nil, TypeShard, make([]byte, InnerMaxBytes))
	if _, err := o.Open(buffer, replay, testFrom); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		d    []byte
	}{{"forged", forged}, {"stranger", stranger}, {"key", unknown}, {"replay", replay}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := o.Open(buffer, c.d, testFrom); err == nil {
					b.Fatal("taken")
				}
			}
		})
	}
}
