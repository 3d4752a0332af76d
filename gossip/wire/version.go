package wire

import "fmt"

// Versions of the protocol that this code speaks.
const (
	VersionMin = 1
	VersionMax = 1
)

// Negotiate returns the highest version that both sides speak, given the
// lowest and highest of the other side. Both sides compute the same result.
// The error wraps [ErrVersion].
func Negotiate(theirMin, theirMax uint32) (uint32, error) {
	return negotiate(VersionMin, VersionMax, theirMin, theirMax)
}

func negotiate(ourMin, ourMax, theirMin, theirMax uint32) (uint32, error) {
	low, high := max(ourMin, theirMin), min(ourMax, theirMax)
	if theirMin > theirMax || low > high {
		return 0, fmt.Errorf("%w: ours are %d to %d, theirs %d to %d",
			ErrVersion, ourMin, ourMax, theirMin, theirMax)
	}
	return high, nil
}
