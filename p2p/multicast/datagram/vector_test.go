package datagram

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"testing"
)

var writeVectors = flag.Bool("write-vectors", false, "write testdata/vectors.txt anew")

const vectorsFile = "testdata/vectors.txt"

// TestVectors holds the format to what was written down: another program that
// makes these bytes speaks with this one.
func TestVectors(t *testing.T) {
	key := newEpochKey(testRoot, testEpoch)
	streamKey := key.streamKey(testStream, 0)
	second := key.streamKey(testStream, 1)
	rootID, open := testRoot.id(), OpenRootOf("test")
	s := NewSealer(testStream, testRoot, testEpoch)
	_, sign := testSigner()
	beacon, err := s.SealBeacon(nil, TypeBeacon, testBeacon(), sign)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintln(&out, "# Written by go test ./p2p/multicast/datagram -write-vectors.")
	fmt.Fprintf(&out, "# Network \"test\", key \"a key\", epoch %d, Ed25519 seed of 32 bytes 7.\n", testEpoch)
	for _, v := range []struct {
		name string
		data []byte
	}{
		{"root", testRoot[:]},
		{"root.open", open[:]},
		{"root.id", rootID[:]},
		{"epoch.hint", key.hint[:]},
		{"stream", testStream[:]},
		{"stream.key", streamKey[:]},
		{"stream.key.second_run", second[:]},
		{"shard.inner", sampleShard()},
		{"nack.inner", sampleNack()},
		{"digest.inner", sampleDigest()},
		{"beacon", beacon},
		{"shard", s.Seal(nil, TypeShard, sampleShard())},
		{"nack", s.Seal(nil, TypeNack, sampleNack())},
		{"digest", s.Seal(nil, TypeDigest, sampleDigest())},
	} {
		fmt.Fprintf(&out, "%s %s\n", v.name, hex.EncodeToString(v.data))
	}
	if *writeVectors {
		if err := os.WriteFile(vectorsFile, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("the format has changed:\n%s\nwant:\n%s", out.Bytes(), want)
	}
}
