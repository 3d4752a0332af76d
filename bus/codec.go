package bus

import "encoding/json"

// Codec turns values into payloads and back. Its methods are called from many
// goroutines at once.
type Codec[T any] interface {
	// Append appends the payload of v to dst.
	Append(dst []byte, v T) ([]byte, error)
	// Decode returns the value of a payload. The payload may be kept but not
	// modified: it is the log's own memory.
	Decode(payload []byte) (T, error)
}

// viewer is a codec whose payload is the value's own memory, so that
// publishing needs no copy of it.
type viewer[T any] interface{ view(v T) []byte }

// Bytes is the Codec of plain bytes. A value that it decodes is the log's own
// memory: it may be kept, and must not be modified.
type Bytes struct{}

// Append implements [Codec].
func (Bytes) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }

// Decode implements [Codec].
func (Bytes) Decode(payload []byte) ([]byte, error) { return payload, nil }

func (Bytes) view(v []byte) []byte { return v }

// Text is the Codec of strings.
type Text struct{}

// Append implements [Codec].
func (Text) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }

// Decode implements [Codec].
func (Text) Decode(payload []byte) (string, error) { return string(payload), nil }

// JSON is the Codec of [encoding/json].
type JSON[T any] struct{}

// Append implements [Codec].
func (JSON[T]) Append(dst []byte, v T) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

// Decode implements [Codec].
func (JSON[T]) Decode(payload []byte) (v T, err error) {
	err = json.Unmarshal(payload, &v)
	return v, err
}
