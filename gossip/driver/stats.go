package driver

import (
	"context"
	"reflect"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/busnode/busnode/gossip"
)

// counters count where things happen; [Driver.Stats] reads them.
type counters struct {
	published, publishedBatches            atomic.Uint64
	publishFailed, refused                 atomic.Uint64
	refusedByPeers                         atomic.Uint64
	framesIn, bytesIn                      atomic.Uint64
	framesOut, bytesOut, pushesOut         atomic.Uint64
	pushesShort, pushesUnknown             atomic.Uint64
	pushesFromLog, pushesGone, damaged     atomic.Uint64
	verified, verifySkipped                atomic.Uint64
	unverified, malformed, unstorable      atomic.Uint64
	outboxFull, controlOverflow            atomic.Uint64
	sendFailed, disconnects                atomic.Uint64
	logFailures, storesGivenUp             atomic.Uint64
	trimmed, expiredUnheld, retainFailures atomic.Uint64
	watchersDropped                        atomic.Uint64
	partsOut, partsDropped                 atomic.Uint64
	falseRecords                           atomic.Uint64
}

// Stats counts since the start.
type Stats struct {
	Gossip gossip.Stats // of the core

	Published        uint64 // events written to the log
	PublishedBatches uint64 // batches they are in
	PublishFailed    uint64 // events that the log did not take
	Refused          uint64 // calls that were refused: too large, closed, backlog, clock, key in use, log failing
	RefusedByPeers   uint64 // batches of ours

	FramesIn, BytesIn          uint64
	FramesOut, BytesOut        uint64
	PushesOut                  uint64 // batches sent
	PushesShort                uint64 // of these, without what the receiver can tell
	PushesUnknown              uint64 // short ones received by a number that stands for nothing here
	PushesFromLog              uint64 // of these, not at hand and read from the log
	PushesGone                 uint64 // trimmed before they could be sent
	Damaged                    uint64 // bodies that the log found damaged
	Verified, VerifySkipped    uint64 // batches received; those at hand need no second verification
	Unverified                 uint64 // batches dropped: hash, signature or network do not fit
	Malformed                  uint64 // frames with a mistake of form
	Unstorable                 uint64 // batches dropped while the log fails
	PartsOut, PartsIn          uint64 // stretches of large batches sent, and taken
	PartsDropped               uint64 // parts that did not continue what is kept of their batch, or came in vain
	PartialsEvicted            uint64 // beginnings of batches dropped for want of room
	PartialsExpired            uint64 // the same, because nobody continued them
	PartialsSpoiled            uint64 // batches in parts of several peers that did not fit together
	OutboxFull                 uint64 // pushes that became lazy word
	ControlOverflow            uint64 // messages of peers that were disconnected for not reading
	SendFailed, Disconnects    uint64
	LogFailures, StoresGivenUp uint64
	Trimmed                    uint64 // events that retention removed
	ExpiredUnheld              uint64 // own events that grew too old before another node held them
	RetainFailures             uint64
	WatchersDropped            uint64
	FalseRecords               uint64 // peers' records that their peers did not sign
}

// Stats returns the counters. After Close they no longer change.
func (d *Driver) Stats() Stats {
	reply := make(chan gossip.Stats, 1)
	core, err := ask(context.Background(), d, coreStatsQuery{reply}, reply)
	if err != nil {
		<-d.rested
		d.mu.Lock()
		core = d.last
		d.mu.Unlock()
	}
	c, parts := &d.counters, d.assembly.counts()
	return Stats{
		Gossip:    core,
		Published: c.published.Load(), PublishedBatches: c.publishedBatches.Load(),
		PublishFailed: c.publishFailed.Load(), Refused: c.refused.Load(), RefusedByPeers: c.refusedByPeers.Load(),
		FramesIn: c.framesIn.Load(), BytesIn: c.bytesIn.Load(),
		FramesOut: c.framesOut.Load(), BytesOut: c.bytesOut.Load(),
		PushesOut:   c.pushesOut.Load(),
		PushesShort: c.pushesShort.Load(), PushesUnknown: c.pushesUnknown.Load(),
		PushesFromLog: c.pushesFromLog.Load(), PushesGone: c.pushesGone.Load(),
		Damaged: c.damaged.Load(), Verified: c.verified.Load(), VerifySkipped: c.verifySkipped.Load(),
		Unverified: c.unverified.Load(), Malformed: c.malformed.Load(), Unstorable: c.unstorable.Load(),
		PartsOut: c.partsOut.Load(), PartsIn: parts.parts, PartsDropped: c.partsDropped.Load() + parts.dropped,
		PartialsEvicted: parts.evicted, PartialsExpired: parts.expired, PartialsSpoiled: parts.spoiled,
		OutboxFull: c.outboxFull.Load(), ControlOverflow: c.controlOverflow.Load(),
		SendFailed: c.sendFailed.Load(), Disconnects: c.disconnects.Load(),
		LogFailures: c.logFailures.Load(), StoresGivenUp: c.storesGivenUp.Load(),
		Trimmed: c.trimmed.Load(), ExpiredUnheld: c.expiredUnheld.Load(),
		RetainFailures: c.retainFailures.Load(), WatchersDropped: c.watchersDropped.Load(),
		FalseRecords: c.falseRecords.Load(),
	}
}

// Counters returns all figures by name: those of the core begin with gossip_.
func (s Stats) Counters() map[string]uint64 {
	all := map[string]uint64{}
	gather(all, "", reflect.ValueOf(s))
	return all
}

func gather(all map[string]uint64, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		name := prefix + snake(v.Type().Field(i).Name)
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			gather(all, name+"_", f)
		case reflect.Uint64:
			all[name] = f.Uint()
		case reflect.Int:
			all[name] = uint64(f.Int())
		default: // figures are counts, and structs of counts
		}
	}
}

// snake turns FramesIn into frames_in.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
