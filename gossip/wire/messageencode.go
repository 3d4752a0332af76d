package wire

import "google.golang.org/protobuf/encoding/protowire"

// appendContent appends the fields of a message other than a Push or ShortPush, in
// ascending order of their numbers. busnode.proto names them.
func appendContent(dst []byte, m Message) []byte {
	switch m := m.(type) {
	case *Interest:
		dst = appendElements(dst, 1, m.Add)
		dst = appendElements(dst, 2, m.Remove)
	case *Topics:
		dst = appendTopics(dst, m)
	case *Link:
		dst = appendString(dst, 1, m.Topic)
		dst = appendBool(dst, 2, m.Up)
	case *Have:
		dst = appendHave(dst, m)
	case *Advance:
		dst = appendAdvance(dst, m)
	case *Graft:
		dst = appendString(dst, 1, m.Topic)
		dst = appendBytes(dst, 2, m.Author[:])
	case *Prune:
		dst = appendString(dst, 1, m.Topic)
		dst = appendBytes(dst, 2, m.Author[:])
	case *Want:
		dst = appendWant(dst, m)
	case *WantIDs:
		dst = appendWantIDs(dst, m)
	case *Served:
		dst = appendUint(dst, 1, uint64(m.ID))
		dst = appendBool(dst, 2, m.More)
	case *Heartbeat:
		dst = appendHeartbeat(dst, m)
	case *TopicDigests:
		dst = appendTopicDigests(dst, m)
	case *Open:
		dst = appendOpen(dst, m)
	case *Answer:
		dst = appendAnswer(dst, m)
	case *Cells:
		dst = appendCells(dst, m)
	case *More:
		dst = appendUint(dst, 1, uint64(m.Session))
		dst = appendUint(dst, 2, uint64(m.Upto))
		dst = appendBitmap(dst, 3, m.Stale)
	case *Resolve:
		dst = appendUint(dst, 1, uint64(m.Session))
		dst = appendKeyed(dst, 2, m.Short)
		dst = appendBool(dst, 3, m.Done)
	case *Part:
		dst = appendPart(dst, m)
	case *Trimmed:
		dst = appendTrimmed(dst, m)
	case *Contact:
		dst = appendContact(dst, m)
	case *Rumors:
		dst = appendRumorsMessage(dst, m)
	case *Feedback:
		dst = appendFeedback(dst, m)
	case *Shuffle:
		dst = appendShuffle(dst, m)
	case *Presence:
		dst = appendPresence(dst, m)
	case *Offer:
		dst = appendString(dst, 1, m.Topic)
		dst = appendIDs(dst, 2, m.IDs)
	case *Hello:
		dst = appendFixed(appendFixed(dst, 1, m.Mine), 2, m.Yours)
	case *Refuse:
		dst = appendString(dst, 1, m.Topic)
		dst = appendBytes(dst, 2, m.Author[:])
		dst = appendMark(dst, 3, m.Mark)
		dst = appendUint(dst, 5, uint64(m.Reason))
	}
	return dst
}

func appendElements(dst []byte, num int, list []string) []byte {
	for _, s := range list {
		dst = appendElement(dst, num, s)
	}
	return dst
}

// appendMark appends a mark as two fields, num and num+1.
func appendMark(dst []byte, num int, m Mark) []byte {
	dst = appendUint(dst, num, uint64(m.Epoch))
	return appendUint(dst, num+1, m.Seq)
}

func appendTopics(dst []byte, m *Topics) []byte {
	for i := range m.Add {
		dst = beginNested(dst, 1)
		start := len(dst)
		dst = appendString(dst, 1, m.Add[i].Name)
		dst = appendUint(dst, 2, uint64(m.Add[i].Scope))
		dst = endNested(dst, start)
	}
	for _, name := range m.Remove {
		dst = appendElement(dst, 2, name)
	}
	return dst
}

func appendHave(dst []byte, m *Have) []byte {
	dst = appendString(dst, 1, m.Topic)
	for i := range m.Heads {
		h := &m.Heads[i]
		dst = beginNested(dst, 2)
		start := len(dst)
		dst = appendBytes(dst, 1, h.Author[:])
		dst = appendMark(dst, 2, h.Base)
		dst = appendMark(dst, 4, h.Head)
		dst = appendUint(dst, 6, uint64(h.Number))
		dst = endNested(dst, start)
	}
	return dst
}

// appendAdvance packs pairs of number and sequence, two varints each.
func appendAdvance(dst []byte, m *Advance) []byte {
	if len(m.Heads) == 0 {
		return dst
	}
	size := 0
	for i := range m.Heads {
		size += protowire.SizeVarint(uint64(m.Heads[i].Number)) + protowire.SizeVarint(m.Heads[i].Seq)
	}
	dst = append(dst, 1<<3|typeBytes)
	dst = protowire.AppendVarint(dst, uint64(size))
	for i := range m.Heads {
		dst = protowire.AppendVarint(dst, uint64(m.Heads[i].Number))
		dst = protowire.AppendVarint(dst, m.Heads[i].Seq)
	}
	return dst
}
