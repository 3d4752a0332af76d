package datagram

// Refusal is why a datagram was not taken: an error, and an index for counters.
type Refusal uint8

// The refusals, in the order of the checks.
const (
	RefusedLength    Refusal = iota // too short or too long
	RefusedFormat                   // no datagram of ours, or of another version
	RefusedOwn                      // our own, come back
	RefusedKey                      // of another group, or of an epoch too far away
	RefusedStranger                 // of a stream that no fresh beacon has introduced
	RefusedSource                   // from an address that the stream does not send from
	RefusedReplay                   // seen before, or too old to tell
	RefusedFar                      // numbered impossibly far ahead
	RefusedSeal                     // forged or broken
	RefusedInner                    // authentic, but makes no sense
	RefusedTime                     // a beacon whose time is not ours
	RefusedSignature                // a beacon not signed by whom it names
	RefusedMember                   // a peer that may not be a member
	RefusedLimit                    // a bound is reached
	Refusals         = iota
)

var refusalTexts = [Refusals]string{
	"length", "format", "own", "key", "stranger", "source", "replay", "far", "seal", "inner", "time",
	"signature", "member", "limit",
}

// String returns a word, for counters' labels.
func (r Refusal) String() string {
	if int(r) < len(refusalTexts) {
		return refusalTexts[r]
	}
	return "unknown"
}

// Error returns the word in an error's form.
func (r Refusal) Error() string { return "datagram: refused: " + r.String() }
