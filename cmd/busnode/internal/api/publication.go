package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Publication is an event that is to be published.
type Publication struct {
	Key     []byte // nil: no key
	Headers []Header
	Payload []byte
}

// AppendPublication appends the line that asks for p, with its newline, to dst.
func AppendPublication(dst []byte, p *Publication) []byte {
	dst = append(dst, '{')
	if p.Key != nil {
		dst = append(dst, `"key":`...)
		dst = appendKey(dst, p.Key)
		dst = append(dst, ',')
	}
	if len(p.Headers) > 0 {
		dst = append(dst, `"headers":`...)
		dst = appendHeaders(dst, p.Headers)
		dst = append(dst, ',')
	}
	if growsInText(p.Payload) {
		dst = append(dst, `"payload_base64":`...)
		dst = appendBase64(dst, p.Payload)
	} else {
		dst = appendPayload(dst, p.Payload)
	}
	return append(dst, "}\n"...)
}

// growsInText reports whether a JSON string would be far longer than p, as
// it is with many control characters, and so might exceed lineMax.
func growsInText(p []byte) bool {
	escapes := 0
	for _, c := range p {
		if c < 0x20 || c == 0x7f {
			escapes++
		}
	}
	return escapes > len(p)/8+64
}

var (
	linePrefix = []byte(`{"payload":"`)
	lineSuffix = []byte(`"}`)
)

// ParsePublication reads a line that asks for an event. The result may alias b.
func ParsePublication(b []byte) (Publication, error) {
	// Most lines hold a payload alone, of text without escapes: one search instead of a parse.
	if bytes.HasPrefix(b, linePrefix) && bytes.HasSuffix(b, lineSuffix) && len(b) >= len(linePrefix)+len(lineSuffix) {
		p := b[len(linePrefix) : len(b)-len(lineSuffix)]
		if plainText(p) {
			return Publication{Payload: p}, nil
		}
	}
	var c jsonContent
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Publication{}, fmt.Errorf("line to publish: %w", err)
	}
	return Publication{Key: c.key(), Headers: c.Headers, Payload: c.payload()}, nil
}

// plainText reports whether p may stand in a JSON string as it is.
func plainText(p []byte) bool {
	for _, c := range p {
		if c < 0x20 || c == '"' || c == '\\' {
			return false
		}
	}
	return utf8.Valid(p)
}
