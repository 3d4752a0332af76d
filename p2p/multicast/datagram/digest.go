package datagram

import "encoding/binary"

// FlowsMax is how many flows one digest tells of.
const FlowsMax = 32

const flowBytes = 19

// Flow is how far a flow has come: block numbers from Next-Back to Next-1 can be asked for.
type Flow struct {
	Lane uint8
	To   Tag // the addressee; zero: all
	Next uint64
	Back uint16
}

func (f *Flow) valid() bool {
	return f.Lane < Lanes && f.Next != 0 && f.Next <= blockMax && f.Back <= BackMax && uint64(f.Back) < f.Next
}

// Digest tells the ends of a stream's flows, for those who lost the last block.
type Digest struct{ list []byte }

// AppendDigest appends an inner text. flows are at most FlowsMax.
func AppendDigest(dst []byte, flows []Flow) []byte {
	dst = append(dst, byte(len(flows)))
	for i := range flows {
		f := &flows[i]
		dst = append(dst, f.Lane)
		dst = append(dst, f.To[:]...)
		dst = binary.BigEndian.AppendUint64(dst, f.Next)
		dst = binary.BigEndian.AppendUint16(dst, f.Back)
	}
	return dst
}

// ParseDigest reads an inner text, which the result aliases. The error is RefusedInner.
func ParseDigest(b []byte) (Digest, error) {
	if len(b) == 0 || b[0] == 0 || b[0] > FlowsMax || len(b) != 1+int(b[0])*flowBytes {
		return Digest{}, RefusedInner
	}
	d := Digest{b[1:]}
	for i := range d.Len() {
		if f := d.Flow(i); !f.valid() {
			return Digest{}, RefusedInner
		}
	}
	return d, nil
}

// Len returns the number of flows.
func (d *Digest) Len() int { return len(d.list) / flowBytes }

// Flow returns one of them.
func (d *Digest) Flow(i int) Flow {
	b := d.list[i*flowBytes:]
	return Flow{
		Lane: b[0], To: Tag(b[1:]),
		Next: binary.BigEndian.Uint64(b[9:]), Back: binary.BigEndian.Uint16(b[17:]),
	}
}
