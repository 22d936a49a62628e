#include "textflag.h"

// func dotRowsAVX2(dst *int32, codes *int8, query *int16, rows, width int)
TEXT ·dotRowsAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ codes+8(FP), SI
	MOVQ query+16(FP), DX
	MOVQ rows+24(FP), R8
	MOVQ width+32(FP), R9

row:
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	XORQ  CX, CX

column: // 32 values: bytes widened to words, multiplied with the query's, added in pairs
	VPMOVSXBW (SI)(CX*1), Y2
	VPMOVSXBW 16(SI)(CX*1), Y3
	VPMADDWD  (DX)(CX*2), Y2, Y2
	VPMADDWD  32(DX)(CX*2), Y3, Y3
	VPADDD    Y2, Y0, Y0
	VPADDD    Y3, Y1, Y1
	ADDQ      $32, CX
	CMPQ      CX, R9
	JLT       column

	VPADDD       Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0x4e, X0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0xb1, X0, X1
	VPADDD       X1, X0, X0
	VMOVD        X0, (DI)
	ADDQ         $4, DI
	ADDQ         R9, SI
	DECQ         R8
	JNZ          row
	VZEROUPPER
	RET
