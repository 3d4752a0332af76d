package driver

import (
	"fmt"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// Peer exchange: the driver hands the core's wishes to the carrier that can dial,
// and checks the records that peers tell before the core sees them.

// recordsMax bounds the records in a frame, for each costs the verification of a
// signature: some shuffles that were gathered, and no more.
const recordsMax = 8 * wire.RecordsMax

// errManyRecords refuses a frame whose records would keep the verifiers busy.
var errManyRecords = fmt.Errorf("%w: more than %d records in a frame", wire.ErrTooLarge, recordsMax)

// dialerOf returns the first carrier that connects to peers by their records, or nil.
func dialerOf(carriers []carrier.Carrier) carrier.Dialer {
	for _, c := range carriers {
		if d, ok := c.(carrier.Dialer); ok {
			return d
		}
	}
	return nil
}

// followRecord tells the core our own record, and again when it has changed.
func (d *Driver) followRecord() {
	for d.post(ownRecord{d.dialer.Record()}) {
		select {
		case <-d.dialer.RecordChanged():
		case <-d.stop:
			return
		}
	}
}

// ownRecord is this node's signed record.
type ownRecord struct{ signed []byte }

func (in ownRecord) apply(d *Driver) { d.core.SetRecord(in.signed) }

// exchanges reports whether the node takes part in peer exchange.
func (d *Driver) exchanges() bool { return d.dialer != nil && !d.cfg.Gossip.NoPeerExchange }

// checkRecords verifies the records of a shuffle and notes which are newest. A
// record that its peer did not sign is the sender's mistake.
func (d *Driver) checkRecords(m *wire.Shuffle) error {
	if len(m.Records) == 0 {
		return nil
	}
	if !d.exchanges() {
		m.Records = nil // nobody wants them: no work either
		return nil
	}
	d.verify <- struct{}{}
	defer func() { <-d.verify }()
	for i := range m.Records {
		r := &m.Records[i]
		peer, seq, err := d.dialer.Check(r.Signed)
		if err == nil && peer != r.Peer {
			err = fmt.Errorf("%w: of %s, signed by %s", carrier.ErrRecord, r.Peer, peer)
		}
		if err != nil {
			d.counters.falseRecords.Add(1)
			return err
		}
		r.Seq = seq
	}
	return nil
}

// meet tells the carrier whom to connect to, and whom not. Without one that can,
// the core knows nobody to wish for.
func (d *Driver) meet(out *gossip.Output) {
	if d.dialer == nil {
		return
	}
	for _, p := range out.Avoid {
		d.dialer.Avoid(p)
	}
	for _, r := range out.Dial {
		d.dial(r)
	}
}

func (d *Driver) dial(r wire.Record) {
	d.logger.Debug("dial peer", "peer", r.Peer.String())
	d.dialer.Dial(r.Signed, func(err error) {
		d.logger.Debug("dial failed", "peer", r.Peer.String(), "err", err)
		d.reports.add(dialFailed{r.Peer})
	})
}

// dialFailed reports that a peer could not be reached.
type dialFailed struct{ peer wire.PeerID }

func (in dialFailed) apply(d *Driver) { d.core.DialFailed(in.peer) }

// release ends the links of a peer that is one too many. A carrier that cannot
// dial does not know the difference.
func (d *Driver) release(x gossip.Disconnect) {
	for _, l := range d.links[x.Peer] {
		if l.dropped {
			continue
		}
		l.dropped = true
		d.logger.Info("peer is one too many", "peer", x.Peer.String())
		if dialer, ok := l.carrier.(carrier.Dialer); ok {
			d.spawn(func() { dialer.Release(x.Peer) })
			continue
		}
		d.spawn(func() { l.carrier.Disconnect(x.Peer, x.Reason) })
	}
}
