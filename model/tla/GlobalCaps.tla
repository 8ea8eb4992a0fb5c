----------------------------- MODULE GlobalCaps -----------------------------
(***************************************************************************)
(* What HOMESEQ has to look like from outside: ONE set of capabilities for *)
(* all cores, on which every operation is one atomic step. An element      *)
(* <<k, c>> says that core k holds c. (Several copies on one core count    *)
(* once: making and deleting them is that core's own business.)            *)
(***************************************************************************)
EXTENDS Ranges

CONSTANT Cores

VARIABLE caps

TypeOK == caps \subseteq (Cores \X Range)

Held == { a[2] : a \in caps }

Init == caps = {}

\* A memory server hands the unit out: only when nothing of it is left.
Alloc(k) == caps = {} /\ caps' = {<<k, Root>>}

Send(k, c, j) == <<k, c>> \in caps /\ caps' = caps \cup {<<j, c>>}

Retype(k, c, d) ==
    /\ <<k, c>> \in caps
    /\ Below(d, c)
    /\ Ok(Held, c, d)
    /\ caps' = caps \cup {<<k, d>>}

Delete(k, c) == <<k, c>> \in caps /\ caps' = caps \ {<<k, c>>}

\* What dies when core k revokes c: every other copy, and every descendant.
Victims(k, c) == { a \in caps : Inside(a[2], c) /\ a # <<k, c>> }

Revoke(k, c) == <<k, c>> \in caps /\ caps' = caps \ Victims(k, c)

Next ==
    \E k \in Cores :
        \/ Alloc(k)
        \/ \E c \in Range :
            \/ Delete(k, c)
            \/ Revoke(k, c)
            \/ \E j \in Cores : Send(k, c, j)
            \/ \E d \in Range : Retype(k, c, d)

Spec == Init /\ [][Next]_caps

\* The set that the atomic steps keep in order by themselves (I1 of HOMESEQ).
Laminar == \A c, d \in Held : Disjoint(c, d) \/ Inside(c, d) \/ Inside(d, c)
=============================================================================
