package wire

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestTheSpecificationsLimits(t *testing.T) {
	limits := map[string]int{
		"TopicMax": TopicMax, "NetworkMax": NetworkMax, "EventMaxBytes": EventMaxBytes,
		"BodyMaxBytes": BodyMaxBytes, "HeaderMaxBytes": HeaderMaxBytes, "BatchMaxBytes": BatchMaxBytes,
		"CountMax": CountMax, "EventHeadersMax": EventHeadersMax, "FrameMaxBytes": FrameMaxBytes,
		"ControlFrameMaxBytes": ControlFrameMaxBytes, "FiltersMax": FiltersMax, "EntriesMax": EntriesMax,
		"PushNumbersMax": PushNumbersMax, "RangesMax": RangesMax, "ShortIDsMax": ShortIDsMax,
		"SymbolsMax": SymbolsMax, "PartMaxBytes": PartMaxBytes, "ResumesMax": ResumesMax,
		"RecordsMax": RecordsMax, "NumbersMax": NumbersMax, "RecordMaxBytes": RecordMaxBytes,
		"PresenceMaxBytes": PresenceMaxBytes, "PresenceTopicsMax": PresenceTopicsMax, "PresencePeersMax": PresencePeersMax,
	}
	text, _, _ := splitSpec(t)
	rows := regexp.MustCompile(`(?m)^\| (\w+Max\w*) \| ([0-9,]+) \|`).FindAllStringSubmatch(text, -1)
	if len(rows) != len(limits) {
		t.Errorf("%d limits in %s, %d here", len(rows), specFile, len(limits))
	}
	for _, row := range rows {
		value, err := strconv.Atoi(strings.ReplaceAll(row[2], ",", ""))
		if err != nil || limits[row[1]] != value {
			t.Errorf("%s: %s in %s, %d here", row[1], row[2], specFile, limits[row[1]])
		}
	}
}

func TestALargestBatchFitsItsFrame(t *testing.T) {
	body := AppendEvent(nil, testBase, &Event{Payload: make([]byte, BodyMaxBytes-20)})
	b := sealed(t, testHeader(1), append(body, make([]byte, BodyMaxBytes-len(body))...))
	frame := AppendPush(nil, b.Raw, true)
	if b.Size() > BatchMaxBytes || len(frame) > FrameMaxBytes {
		t.Errorf("batch of %d, frame of %d bytes", b.Size(), len(frame))
	}
	if _, err := parseFrame(frame); err != nil {
		t.Error(err)
	}
}
