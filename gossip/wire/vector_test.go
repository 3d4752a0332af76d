package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

var writeVectors = flag.Bool("write-vectors", false, "write the test vectors of docs/spec.md anew")

const (
	specFile     = "../../docs/spec.md"
	vectorsBegin = "<!-- vectors: written by go test ./gossip/wire -write-vectors -->\n```text\n"
	vectorsEnd   = "```\n<!-- end of vectors -->"
)

// vector is a line of the specification's last section.
type vector struct {
	name string
	data []byte
}

// vectors returns what the specification lists, made by this package.
func vectors(t *testing.T) []vector {
	author := testSigner().Author()
	first := testHeader(3)
	events := appendEvents(testEvents(3))
	one := sealed(t, first, events)
	next := testHeader(1)
	next.First, next.Prev, next.Time = 4, Prev{one.Header.End(), testBase}, testBase+1_000_000
	two := sealed(t, next, AppendEvent(nil, next.Time, &Event{Time: next.Time - 5, Payload: []byte("fourth")}))
	list := []vector{
		{"author.seed", bytes.Repeat([]byte{7}, ed25519.SeedSize)},
		{"author.key", author[:]},
		{"author.peer_id", []byte(author.PeerID())},
		{"author.peer_id_text", []byte(author.PeerID().String())},
		{"batch1.header", one.HeaderBytes},
		{"batch1.id", one.ID[:]},
		{"batch1.signed", append(appendDomain(nil, "test"), one.HeaderBytes...)},
		{"batch1.signature", one.Signature},
		{"batch1.body", one.Body},
		{"batch1", one.Raw},
		{"batch2", two.Raw},
		{"batch.ignorable_field", signHeader(withField(one.HeaderBytes, 63, 5), events)},
		{"batch.critical_field", signHeader(withField(one.HeaderBytes, 64, 5), events)},
		{"batch.of_shortpush", testFollower(t, 5).Raw},
		{"batch.unknown_kind", signHeader(withField(one.HeaderBytes, headerKind, 77), events)},
		{"bad.batch.signature", flip(one.Raw, len(one.Raw)-len(one.Body)-10)},
		{"bad.batch.body", flip(one.Raw, len(one.Raw)-1)},
		{"bad.batch.trailing_byte", append(bytes.Clone(one.Raw), 0)},
	}
	for _, m := range sampleMessages(t) {
		name := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", m), "*wire."))
		list = append(list, vector{"frame." + name, AppendMessage(nil, m)})
	}
	unknown := appendKind(AppendMessage(nil, &Served{ID: 1}), 99, []byte("later"))
	return append(list,
		vector{"frame.unknown_message", AppendMessage(unknown, &Served{ID: 2})},
		vector{"bad.frame.topic", AppendMessage(nil, &Link{Topic: "a..b"})},
		vector{"bad.frame.length", []byte{kindServed<<3 | 2, 9, 8}},
		vector{"bad.frame.number_as_message", []byte{kindServed << 3, 1}},
		vector{"bad.frame.ranges_descend", AppendMessage(nil,
			&Open{Topic: "a", Floor: 5, Cut: 9, Ranges: []RangeDigest{{Low: 5}, {Low: 4}}})},
		vector{"bad.frame.ranges_too_far", AppendMessage(nil,
			&Answer{Finer: []RangeDigest{{Low: 1 << 62}, {Low: -1 << 62}}})},
		vector{"bad.frame.symbol_cut_off", appendKind(nil, kindCells, appendBytes(nil, 4, make([]byte, 9)))},
		vector{"bad.frame.short_push_number", AppendMessage(nil, shorten(t, testFollower(t, 5), PushNumbersMax+1))},
		vector{"bad.frame.short_push_with_topic", appendKind(nil, kindShortPush, slices.Concat(
			appendUint(nil, shortNumber, 1), appendBytes(nil, shortHeader, appendString(nil, headerTopic, "orders.eu")),
			appendBytes(nil, shortSignature, one.Signature), appendBytes(nil, shortBody, one.Body)))},
		vector{"bad.frame.part_beyond_batch", AppendMessage(nil, &Part{Size: 3, Offset: 2, Data: []byte("ab")})},
	)
}

// withField returns b with a varint field of any number after it.
func withField(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(bytes.Clone(b), num, protowire.VarintType), v)
}

func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 1
	return b
}

// splitSpec returns the specification before, in and after the vectors.
func splitSpec(t *testing.T) (before, block, after string) {
	t.Helper()
	text, err := os.ReadFile(specFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), vectorsBegin)
	block, after, ok2 := strings.Cut(rest, vectorsEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no section of vectors", specFile)
	}
	return before, block, after
}

func TestTheSpecificationsVectors(t *testing.T) {
	before, block, after := splitSpec(t)
	made := vectors(t)
	if *writeVectors {
		var b strings.Builder
		for _, v := range made {
			fmt.Fprintf(&b, "%s = %x\n", v.name, v.data)
		}
		text := before + vectorsBegin + b.String() + vectorsEnd + after
		if err := os.WriteFile(specFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	lines := strings.Split(strings.TrimSuffix(block, "\n"), "\n")
	if len(lines) != len(made) {
		t.Fatalf("%d vectors in %s, %d here", len(lines), specFile, len(made))
	}
	for i, line := range lines {
		name, text, _ := strings.Cut(line, " = ")
		data, err := hex.DecodeString(text)
		if err != nil || name != made[i].name || !bytes.Equal(data, made[i].data) {
			t.Errorf("%s = %x\nspecification: %s", made[i].name, made[i].data, line)
			continue
		}
		if err := checkVector(t, name, data); (err != nil) != strings.HasPrefix(name, "bad.") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// checkVector parses a vector that is a batch or a frame.
func checkVector(t *testing.T, name string, data []byte) error {
	t.Helper()
	kind := strings.TrimPrefix(name, "bad.")
	switch {
	case strings.HasPrefix(kind, "frame."):
		messages, err := parseFrame(data)
		for _, m := range sampleMessages(t) {
			if bytes.Equal(AppendMessage(nil, m), data) && !reflect.DeepEqual(messages, []Message{m}) {
				return fmt.Errorf("parsed as %+v", messages)
			}
		}
		return err
	case kind == "batch1" || kind == "batch2" || strings.HasPrefix(kind, "batch."):
		b, err := ParseBatch(data)
		if err != nil {
			return err
		}
		return b.Verify("test")
	}
	return nil
}
