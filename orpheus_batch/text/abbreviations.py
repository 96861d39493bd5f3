"""Curated English abbreviations, by how a sentence may go on after them.

All are written without their full stop. What a book abbreviates besides is learned from the book
(`orpheus_batch.text.punkt`).
"""


def words(text: str) -> frozenset[str]:
    """Return the words of a list that is easier to read as running text."""
    return frozenset(text.split())


BEFORE_NAME = words(
    "Mr Mrs Ms Messrs Mme Mmes Mlle Mlles Mssrs Dr Drs Prof Profs Rev Revd Fr Br Sr Ven Hon Rt St Ste Sts SS "
    "Capt Cpt Col Lt Lieut Gen Maj Sgt Sergt Corp Cpl Pvt Adm Cmdr Comdr Cdr Brig Ens Gov Lt-Gov Pres Sen Rep "
    "Reps Sec Supt Insp Det Atty Amb Bp Abp Archbp Mons Msgr Mgr Sig Sigr Sra Srta Hr Fräul Mt Mts Ft Pt Pte "
    "Geo Wm Chas Jas Jos Thos Robt Edw Benj Saml"
)
"""Never the end of a sentence: a name follows. (St, Sr, Jr and Fr have second lives; see below.)"""

AFTER_NAME = words("Jr Sr Esq Co Cos Inc Ltd Corp Bros Ave Blvd St Rd Sq Ln Ste Hwy Pk Bldg Dept Univ Assn")
"""Follow a name; may end a sentence."""

BEFORE_NUMBER = words(
    "no nos n° nr p pp pg pgs vol vols v vv ver vers ch chap chaps fig figs sec sect secs art arts bk pt pts "
    "c ca cir circ ff l ll n nn t tom cap caps can qu stat sc op para pars ref refs ex eq eqs table tab app "
    "ii jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun"
)
"""Abbreviations only where a number follows; else they are words, or rare enough to be."""

NEVER_LAST = words("i.e e.g viz vs cf scil sc al approx incl esp")
"""Never the end of a sentence."""

MAY_END = words(
    "etc &c a.m p.m u.s u.s.a u.k u.n e.u u.s.s.r d.c b.c a.d b.c.e c.e ph.d m.d b.a m.a m.p m.ps d.d ll.d "
    "esq jr sr co inc ltd bros inst ult prox ave blvd rd st jan feb aug sept oct nov dec dept ibid loc.cit "
    "op.cit seq sqq q.v n.b p.s r.s.v.p doz cwt univ mss fol 8vo 4to 12mo transl n.y n.j n.h n.c s.c r.i"
)
"""May stand in a sentence or end it: the next word decides."""

AFTER_NUMBER = words(
    "oz lb lbs ft in hr hrs min mins sec secs mi yd yds wt cent deg gal pt qt s d l h m cm mm km kg g"
)
"""Units: abbreviations after a number, else words; may end a sentence."""

AFTER_COMMA = words(
    "Mass Conn Penn Pa Va Ky Tenn Ill Ind Wis Minn Mich Calif Cal Ore Wash Colo Ariz Tex Ark Fla Ga Ala Miss "
    "La Vt Del Md Me Neb Nev Okla Kan Mo Wyo Mont Id Ont Que"
)
"""States: abbreviations after a town and a comma, else words; may end a sentence."""

DATES = words(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July "
    "August September October November December"
)
"""Go on after a time of day: "at 5 p.m. Tuesday"."""

STARTERS = words(
    "a about above according after afterwards again against ah alas all almost already also although always "
    "am among an and another any anyone anything anyway are around as aside at away be because before behind "
    "below beneath beside besides between beyond both but by can certainly come consequently could dear did "
    "do does don't down during each either else even eventually ever every everybody everyone everything "
    "except few finally first for fortunately from further furthermore go had half has have having he he'd "
    "he'll he's hello hence her here hers herself him himself his how however i i'd i'll i'm i've if in "
    "indeed instead into is it it's its itself just last lastly later let let's like look many may maybe me "
    "meanwhile might mine moreover most much must my myself nay near nearly neither never nevertheless next "
    "no nobody none nonetheless nor not nothing now nowhere o of off oh often on once one only onto or other "
    "others otherwise our ours out outside over past perhaps please presently quite rather really right same "
    "second see several shall she she'd she'll she's should similarly since so some somebody someone "
    "something sometimes somewhere soon still strange such suddenly surely take tell than thank thanks that "
    "that's the their theirs them themselves then there there's therefore these they they'd they'll they're "
    "they've third this those though three through throughout thus till to today together tomorrow tonight "
    "too toward towards two under unfortunately unless unlike until up upon us usually very was we we'd we'll "
    "we're we've well were what what's whatever when whenever where whereas wherever whether which while who "
    "whoever whom whose why will with within without won't would yes yesterday yet you you'd you'll you're "
    "you've your yours"
)
"""Words that begin sentences when capitalised after an abbreviation; names, which go on, are not among them."""

SPEECH_VERBS = (
    "said|says|asked|asks|replied|answered|cried|exclaimed|shouted|whispered|murmured|muttered|called|continued|"
    "added|remarked|observed|returned|inquired|enquired|demanded|repeated|interrupted|laughed|sighed|ejaculated|"
    "declared|suggested|snapped|growled|gasped|began|thought|admitted|agreed|insisted|protested|pleaded|begged|"
    "responded|retorted|rejoined|commented|explained|announced|yelled|screamed|roared|groaned|sobbed|stammered|"
    "faltered|urged|commanded|ordered|warned|wondered|mused|queried|questioned|echoed|chuckled|grinned|smiled|"
    "nodded|put in|went on|broke in|burst out"
)
"""Verbs that carry a quotation: "What?" Holmes asked."""
