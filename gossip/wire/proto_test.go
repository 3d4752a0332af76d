package wire

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// protoField is a field as busnode.proto declares it.
type protoField struct {
	name, kind string
	repeated   bool
}

type protoMessage map[protowire.Number]protoField

var (
	protoMessageLine = regexp.MustCompile(`(?ms)^message (\w+) \{\n(.*?)^\}`)
	protoFieldLine   = regexp.MustCompile(`(?m)^  (repeated |optional )?(\w+) (\w+) = (\d+);`)
	protoTypes       = map[string]protowire.Type{
		"uint32": protowire.VarintType, "uint64": protowire.VarintType, "sint64": protowire.VarintType,
		"bool": protowire.VarintType, "fixed64": protowire.Fixed64Type, "sfixed64": protowire.Fixed64Type,
		"string": protowire.BytesType, "bytes": protowire.BytesType,
	}
	// What the .proto declares as bytes and section 3 of the specification as a message.
	protoEncoded = map[string]string{"Batch.header": "Header", "Batch.body": "Body"}
)

// protoLast comes after all else, so that it can be written from where it lies.
const protoLast = "Push.batch"

// readProto reads the messages that busnode.proto declares.
func readProto(t *testing.T) map[string]protoMessage {
	t.Helper()
	text, err := os.ReadFile("busnode.proto")
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string]protoMessage{}
	for _, m := range protoMessageLine.FindAllStringSubmatch(string(text), -1) {
		message := protoMessage{}
		for _, f := range protoFieldLine.FindAllStringSubmatch(m[2], -1) {
			var num protowire.Number
			if _, err := fmt.Sscan(f[4], &num); err != nil || message[num].name != "" {
				t.Fatalf("%s.%s: number %s: %v", m[1], f[3], f[4], err)
			}
			message[num] = protoField{name: f[3], kind: f[2], repeated: f[1] == "repeated "}
		}
		messages[m[1]] = message
	}
	return messages
}

// protoWalker checks encoded messages against their declarations.
type protoWalker struct {
	messages map[string]protoMessage
	seen     map[string]bool // "Message.field"
}

// walk checks that b holds declared fields alone, of the declared types, in
// ascending order but for what is written last, and singular ones once.
func (w *protoWalker) walk(name string, b []byte) error {
	message, last := w.messages[name], protowire.Number(0)
	if message == nil {
		return fmt.Errorf("message %s is not declared", name)
	}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%s: %w", name, protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return fmt.Errorf("%s: field %d: %w", name, num, protowire.ParseError(size))
		}
		field, path := message[num], name+"."+message[num].name
		if field.name == "" || num < last && path != protoLast || num == last && !field.repeated {
			return fmt.Errorf("%s: field %d after %d: not declared, twice or out of order", name, num, last)
		}
		want, scalar := protoTypes[field.kind]
		if !scalar {
			want = protowire.BytesType
		}
		if typ != want {
			return fmt.Errorf("%s: wire type %d, declared %s", path, typ, field.kind)
		}
		nested := protoEncoded[path]
		if !scalar {
			nested = field.kind
		}
		if nested != "" {
			content, _ := protowire.ConsumeBytes(b[n:])
			if err := w.walk(nested, content); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		w.seen[path], last, b = true, num, b[n+size:]
	}
	return nil
}

func TestWhatIsEncodedIsAsTheProtoFileDeclares(t *testing.T) {
	w := &protoWalker{readProto(t), map[string]bool{}}
	for _, m := range sampleMessages(t) {
		if err := w.walk("Frame", AppendMessage(nil, m)); err != nil {
			t.Errorf("%T: %v", m, err)
		}
	}
	h := testHeader(3)
	h.First, h.Prev = 5, Prev{Mark{h.Epoch, 4}, testBase - 1}
	if err := w.walk("Batch", sealed(t, h, appendEvents(testEvents(3))).Raw); err != nil {
		t.Error(err)
	}
	h.Kind, h.Compression = KindForeign, CompressionZstd
	if err := w.walk("Header", appendHeader(nil, &h)); err != nil {
		t.Error(err)
	}
	for name, message := range w.messages {
		for _, field := range message {
			if path := name + "." + field.name; !w.seen[path] {
				t.Errorf("%s is declared and not encoded", path)
			}
		}
	}
}
