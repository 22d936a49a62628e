package meter

// The instructions that the rewriting treats by name.
const (
	opUnreachable  = 0x00
	opNop          = 0x01
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opSelectT      = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opLoadFirst    = 0x28
	opStoreFirst   = 0x36
	opStoreLast    = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opNumericFirst = 0x45
	opI32Sub       = 0x6b
	opI32And       = 0x71
	opI32ShrU      = 0x76
	opI32GeS       = 0x4e
	opI64LtS       = 0x53
	opI64GeS       = 0x59
	opI64Add       = 0x7c
	opI64Sub       = 0x7d
	opI64Mul       = 0x7e
	opI64ShrU      = 0x88
	opI64ExtendU   = 0xad
	opNumericLast  = 0xc4
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opPrefixMisc   = 0xfc
	opPrefixSIMD   = 0xfd
)

// Sub-opcodes of opPrefixMisc above the saturating truncations.
const (
	miscTruncLast  = 7
	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17
)

// Sub-opcodes of opPrefixSIMD.
const (
	simdLoadLast      = 10
	simdStore         = 11
	simdConst         = 12
	simdShuffle       = 13
	simdLaneFirst     = 21
	simdLaneLast      = 34
	simdMemLaneFirst  = 84
	simdStoreLane     = 88
	simdMemLaneLast   = 91
	simdLoadZeroFirst = 92
	simdLoadZeroLast  = 93
	simdLast          = 255
)

// blockEmpty is the block type without results.
const blockEmpty = 0x40

// Costs in fuel. One unit is a plain instruction; the others are rough ratios of time on current processors, rounded
// so that a slice of fuel is a bounded time whatever the guest executes.
const (
	costPlain    = 1
	costMemory   = 2
	costDivide   = 10
	costCall     = 5
	costIndirect = 8
	costGrow     = 100 // leaves compiled code, changes mappings
	costBulk     = 10

	// By length: bytes (or table elements) per unit, as a power of two; memory.grow pays per page of 64 KiB, which
	// the kernel has to clear.
	bulkShift   = 4
	costPage    = 1000
	costElement = 2
)

// cost is the price of a one-byte instruction.
func cost(op byte) uint64 {
	switch {
	case op == opNop || op == opBlock || op == opLoop || op == opElse || op == opEnd:
		return 0
	case op == opCall:
		return costCall
	case op == opCallIndirect:
		return costIndirect
	case op >= opLoadFirst && op <= opStoreLast:
		return costMemory
	case op >= 0x6d && op <= 0x70, // i32 division and remainder
		op >= 0x7f && op <= 0x82, // i64
		op == 0x91 || op == 0x95, // f32.sqrt, f32.div
		op == 0x9f || op == 0xa3: // f64
		return costDivide
	case op == opMemoryGrow:
		return costGrow
	}
	return costPlain
}
