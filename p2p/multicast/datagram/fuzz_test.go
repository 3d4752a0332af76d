package datagram

import (
	"bytes"
	"reflect"
	"testing"
)

func sampleShard() []byte {
	s := Shard{To: Tag{1}, Block: 300, Back: 17, Ends: 99, Index: 33, Data: 32, UpTo: 40, Lane: 1}
	return append(s.AppendHeader(nil), "shard"...)
}

func sampleNack() []byte {
	return AppendNack(nil, testStream, 12, []Want{
		{Lane: 0, Block: 1, UpTo: 36, Need: 2}, {Lane: 1, Addressed: true, Block: 1 << 40, Need: 0},
	})
}

func sampleDigest() []byte {
	return AppendDigest(nil, []Flow{{Lane: 1, To: Tag{5}, Next: 9, Back: 8}, {Next: 1}})
}

func sampleBeacon(t testing.TB) []byte {
	_, sign := testSigner()
	b, err := testBeacon().append(nil, nil, sign)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzHeader(f *testing.F) {
	f.Add(NewSealer(testStream, testRoot, testEpoch).Seal(nil, TypeShard, []byte("text")))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			return
		}
		if got := appendHeader(nil, &h); !bytes.Equal(got, b[:HeaderBytes]) {
			t.Errorf("%x became %x", b[:HeaderBytes], got)
		}
	})
}

func FuzzShard(f *testing.F) {
	f.Add(sampleShard())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseShard(b)
		if err != nil {
			return
		}
		if got := append(s.AppendHeader(nil), s.Bytes...); !bytes.Equal(got, b) {
			t.Errorf("%x became %x", b, got)
		}
		if s.Index >= s.UpTo || s.Data > DataMax || s.Block == 0 || s.Block <= uint64(s.Back) {
			t.Errorf("%+v makes no sense", s)
		}
	})
}

func FuzzNack(f *testing.F) {
	f.Add(sampleNack())
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseNack(b)
		if err != nil {
			return
		}
		var wants []Want
		for i := range n.Len() {
			wants = append(wants, n.Want(i))
		}
		if got := AppendNack(nil, n.Of, n.Loss, wants); !bytes.Equal(got, b) {
			t.Errorf("%x became %x", b, got)
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add(sampleDigest())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDigest(b)
		if err != nil {
			return
		}
		var flows []Flow
		for i := range d.Len() {
			flows = append(flows, d.Flow(i))
		}
		if got := AppendDigest(nil, flows); !bytes.Equal(got, b) {
			t.Errorf("%x became %x", b, got)
		}
	})
}

func FuzzBeacon(f *testing.F) {
	f.Add(sampleBeacon(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseBeacon(b)
		if err != nil {
			return
		}
		signature := b[len(b)-64:]
		got, err := p.append(nil, nil, func([]byte) ([]byte, error) { return signature, nil })
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%x became %x, %v", b, got, err)
		}
	})
}

// FuzzOpen feeds whatever to an opener with one stream admitted.
func FuzzOpen(f *testing.F) {
	s := NewSealer(testStream, testRoot, testEpoch)
	o := admitted(f, s)
	f.Add(NewSealer(testStream, RootOf("x", nil), testEpoch).Seal(nil, TypeShard, []byte("text")))
	f.Add(make([]byte, OverheadBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := *o.streams[testStream]
		m, err := o.Open(nil, b, testFrom)
		if err == nil {
			t.Errorf("forged: %+v", m)
		}
		before.keys, before.version = o.streams[testStream].keys, o.streams[testStream].version
		if after := *o.streams[testStream]; !reflect.DeepEqual(before, after) {
			t.Error("what was refused changed the stream's state")
		}
	})
}
