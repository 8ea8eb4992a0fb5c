------------------------------- MODULE Ranges -------------------------------
(***************************************************************************)
(* A capability here is the range of memory <<start, end>> that it names,  *)
(* in units of the smallest retype. Types and rights are left out.         *)
(***************************************************************************)
EXTENDS Naturals

CONSTANT SIZE                \* the length of the unit (the region) that is shared

ASSUME SIZE \in Nat \ {0}

Range == { r \in (0..SIZE) \X (0..SIZE) : r[1] < r[2] }
Root == <<0, SIZE>>

Inside(d, c)   == c[1] <= d[1] /\ d[2] <= c[2]    \* d is a copy or a descendant of c
Below(d, c)    == Inside(d, c) /\ d # c           \* d is a descendant of c
Disjoint(c, d) == c[2] <= d[1] \/ d[2] <= c[1]

\* the protocol's ok(src, new): may `new` be made from `src` beside what is held?
Ok(held, src, new) == \A h \in held : Disjoint(h, new) \/ Inside(src, h)
=============================================================================
