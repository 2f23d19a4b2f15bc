"""Data of published worked examples, as printed there."""

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), examples A, B and C; "." is missing.
KRIPPENDORFF_A = ("0100000010", "1110010000")
KRIPPENDORFF_B = ("aabbdcccedda", "babbbccceddd")
KRIPPENDORFF_C = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")

# Fleiss, "Measuring Nominal Scale Agreement Among Many Raters" (1971), table 1: 30 patients, 6 raters each;
# how many said depression, personality disorder, schizophrenia, neurosis, other.
FLEISS = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 "
    "00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)

# Cohen, "A Coefficient of Agreement for Nominal Scales" (1960), table 2, in counts of 200; and the weights of
# disagreement of "Weighted Kappa" (1968), table 1, for the same counts.
COHEN_1960 = ((88, 14, 18), (10, 40, 10), (2, 6, 12))
COHEN_1968_WEIGHTS = ((0, 1, 3), (1, 0, 6), (3, 6, 0))

# Dawid and Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm" (1979),
# table 1: 45 patients; what the five anaesthetists said; the first one saw each form three times.
_SAID = (
    "111,1,1,1,1 333,4,3,3,4 112,2,1,2,2 222,3,1,2,1 222,3,2,2,2 222,3,3,2,2 122,2,1,1,1 333,3,4,3,3 "
    "222,2,2,2,3 232,2,2,2,3 444,4,4,4,4 222,3,3,4,3 111,1,1,1,1 222,3,2,1,2 121,1,1,1,1 111,2,1,1,1 "
    "111,1,1,1,1 111,1,1,1,1 222,2,2,2,1 222,1,3,2,2 222,2,2,2,2 222,2,2,2,1 222,3,2,2,2 221,2,2,2,2 "
    "111,1,1,1,1 111,1,1,1,1 232,2,2,2,2 111,1,1,1,1 111,1,1,1,1 112,1,1,2,1 111,1,1,1,1 333,3,2,3,3 "
    "111,1,1,1,1 222,2,2,2,2 222,3,2,3,2 433,4,3,4,3 221,2,2,3,2 232,3,2,3,3 333,3,4,3,2 111,1,1,1,1 "
    "111,1,1,1,1 121,2,1,1,1 232,2,2,2,2 121,1,1,1,1 222,2,2,2,2"
)
ANAESTHETISTS = tuple(tuple(patient.split(",")) for patient in _SAID.split())
