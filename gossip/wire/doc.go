// Package wire holds what nodes store and send: batches of signed events, the
// messages of the gossip protocol, their codec, limits and identifiers.
//
// It is the leaf of the repository: every other package speaks in its types.
// docs/spec.md describes the same bytes without Go and busnode.proto gives the
// field numbers. The package may change until v1; the bytes follow the rules of
// versions in the specification.
//
// # Layout
//
// All is in the wire format of Protocol Buffers. The bytes that an author signed
// are the bytes that are stored and sent; nothing is encoded twice. A batch:
//
//	       ┌────┬─────┬────────────────────────┬────┬─────┬───────────┬────┬─────┬───────┐
//	batch: │ 0a │ len │ header                 │ 12 │ 40  │ signature │ 1a │ len │ body  │
//	       └────┴─────┴────────────────────────┴────┴─────┴───────────┴────┴─────┴───────┘
//	header: version, network, author, topic, epoch, first, count, prev, time,
//	        kind, compression, body length, body SHA-256
//	ID = SHA-256(header)     signature over "busnode batch v1" 00 network 00 header
//
//	       ┌────┬─────┬──────────────────────────────────────────────┬────┬─────┬─────
//	body:  │ 0a │ len │ event: time offset, key?, headers*, payload  │ 0a │ len │ …
//	       └────┴─────┴──────────────────────────────────────────────┴────┴─────┴─────
//
// A frame is one or more messages; the field number is the kind of the message.
// In a Push the raw batch comes last, so that a sender writes [PushPrefix] and
// the bytes from its log, and copies nothing:
//
//	       ┌────┬─────┬─────────────────┬────┬─────┬────────────────────┐
//	frame: │ 5a │ len │ Heartbeat       │ 0a │ len │ 12 │ len │ batch   │ …
//	       └────┴─────┴─────────────────┴────┴─────┴────────────────────┘
//
// Where a Push follows others of the same author on a link that keeps order, most of
// the header is known there: a [ShortPush] leaves it out, and the receiver puts the
// author's bytes together again.
//
// An unknown message or field is skipped; an unknown header field of number 64
// or above makes the batch [Header.Unreadable]: it is verified, stored and
// forwarded, and its events are not read.
//
// # Use
//
//	body := wire.AppendEvent(nil, now, &wire.Event{Time: now, Payload: payload})
//	batch, err := wire.Seal(wire.Header{Network: …, Count: 1, …}, body, signer)
//	frame := wire.AppendPush(nil, batch.Raw, false)
//
//	for m, err := range wire.ParseFrame(frame) {
//		push := m.(*wire.Push)
//		err = push.Batch.Verify(network)
//		events, err := push.Batch.Events()
//		for e, ok := events.Next(); ok; e, ok = events.Next() { … }
//		err = events.Err()
//	}
//
// # Guarantees and limits
//
// Parsing never panics, allocates for a message at most four times its bytes
// and 64 KiB, whatever it claims, and refuses what exceeds the limits of limit.go.
// A compressed body is unpacked only when its events are read, to at most
// [BodyMaxBytes].
// What is parsed aliases the input where noted, so nobody may modify the input.
// ParseBatch checks form, [Batch.Verify] checks authenticity and the
// [EventReader] finds events that are malformed or other in number than claimed.
//
// Functions are safe for concurrent use, and so are batches, which are never
// modified. An EventReader belongs to one goroutine.
package wire
