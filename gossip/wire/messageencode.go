package wire

// appendContent appends the fields of a message other than a Push, in
// ascending order of their numbers. busnode.proto names them.
func appendContent(dst []byte, m Message) []byte {
	switch m := m.(type) {
	case *Interest:
		for _, filter := range m.Add {
			dst = appendElement(dst, 1, filter)
		}
		for _, filter := range m.Remove {
			dst = appendElement(dst, 2, filter)
		}
	case *Topics:
		dst = appendTopics(dst, m)
	case *Link:
		dst = appendString(dst, 1, m.Topic)
		dst = appendBool(dst, 2, m.Up)
	case *Have:
		dst = appendHave(dst, m)
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
		dst = appendTime(dst, 1, m.Wall)
		dst = appendTime(dst, 2, m.Floor)
		dst = appendTime(dst, 3, m.Cut)
		dst = appendFixed(dst, 4, m.Digest)
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
		dst = appendBytes(dst, 1, m.Batch[:])
		dst = appendUint(dst, 2, uint64(m.Size))
		dst = appendUint(dst, 3, uint64(m.Offset))
		dst = appendBytes(dst, 4, m.Data)
	case *Trimmed:
		dst = appendTrimmed(dst, m)
	case *Offer:
		dst = appendString(dst, 1, m.Topic)
		dst = appendIDs(dst, 2, m.IDs)
	case *Hello:
		dst = appendFixed(dst, 1, m.Mine)
		dst = appendFixed(dst, 2, m.Yours)
	case *Refuse:
		dst = appendString(dst, 1, m.Topic)
		dst = appendBytes(dst, 2, m.Author[:])
		dst = appendMark(dst, 3, m.Mark)
		dst = appendUint(dst, 5, uint64(m.Reason))
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
		dst = endNested(dst, start)
	}
	return dst
}
